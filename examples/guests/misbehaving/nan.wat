;; Makes NaNs in ways whose bits WebAssembly leaves open (sign and payload differ between processors) and shows
;; them: 24 bytes, little-endian: f64 0/0, f64 of a NaN with a payload plus 1, f32 0/0, f32 demoted from the payload.
;; On a host that canonicalises, the f64 are 0x7ff8000000000000 and the f32 0x7fc00000.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\40\00\00\00\18\00\00\00")            ;; iovec: 24 bytes at 64
  (data (i32.const 24) "\ef\be\ad\de\00\00\fa\ff")           ;; a quiet NaN, negative, with a payload
  ;; Operands come from memory so that no compiler computes the NaNs beforehand.
  (func $zero (result f64) (f64.load (i32.const 16)))
  (func $payload (result f64) (f64.load (i32.const 24)))
  (func $zero_by_zero (export "run") (result f64) (f64.div (call $zero) (call $zero)))
  (func (export "_start")
    (f64.store (i32.const 64) (call $zero_by_zero))
    (f64.store (i32.const 72) (f64.add (call $payload) (f64.const 1)))
    (f32.store (i32.const 80) (f32.div (f32.load (i32.const 16)) (f32.load (i32.const 16))))
    (f32.store (i32.const 84) (f32.demote_f64 (call $payload)))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
