;; Shows 32 bytes of the randomness a guest is given, in two calls of 16: derived from the task, so the same on
;; every node, and the two halves differ.
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\40\00\00\00\20\00\00\00")            ;; iovec: 32 bytes at 64
  (func $stop_on (param $errno i32) (if (local.get $errno) (then (unreachable))))
  (func (export "_start")
    (call $stop_on (call $random_get (i32.const 64) (i32.const 16)))
    (call $stop_on (call $random_get (i32.const 80) (i32.const 16)))
    (call $stop_on (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
