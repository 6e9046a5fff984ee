;; Never ends: stopped by fuel, or by wall time where fuel is plentiful.
(module
  (memory (export "memory") 1)
  (func $forever (loop $again (br $again)))
  (export "_start" (func $forever))
  (export "run" (func $forever)))
