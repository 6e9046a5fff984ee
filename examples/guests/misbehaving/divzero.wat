;; Divides by zero; the divisor is read from memory so that no compiler can fold the trap away.
(module
  (memory (export "memory") 1)
  (func $divide (result i32) (i32.div_s (i32.const 1) (i32.load (i32.const 0))))
  (func (export "_start") (drop (call $divide)))
  (export "run" (func $divide)))
