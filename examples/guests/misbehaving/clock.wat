;; Shows what time the guest is told: four u64, little-endian: realtime, monotonic, monotonic again, and the
;; realtime clock's resolution, in nanoseconds. The same on every node, and monotonic never goes back.
(module
  (import "wasi_snapshot_preview1" "clock_time_get"
    (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_res_get"
    (func $clock_res_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\40\00\00\00\20\00\00\00")            ;; iovec: 32 bytes at 64
  (func $stop_on (param $errno i32) (if (local.get $errno) (then (unreachable))))
  (func (export "_start")
    (call $stop_on (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 64)))
    (call $stop_on (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 72)))
    (call $stop_on (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 80)))
    (call $stop_on (call $clock_res_get (i32.const 0) (i32.const 88)))
    (call $stop_on (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
