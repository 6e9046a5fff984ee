;; Traps at once.
(module
  (memory (export "memory") 1)
  (func $trap (unreachable))
  (export "_start" (func $trap))
  (export "run" (func $trap)))
