;; Says why on stderr, leaves half an answer on stdout, and exits with status 3.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\20\00\00\00\08\00\00\00")   ;; iovec: 8 bytes at 32
  (data (i32.const 8) "\30\00\00\00\0f\00\00\00")   ;; iovec: 15 bytes at 48
  (data (i32.const 32) "partial\n")
  (data (i32.const 48) "no such record\n")
  (func (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (drop (call $fd_write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 16)))
    (call $proc_exit (i32.const 3))))
