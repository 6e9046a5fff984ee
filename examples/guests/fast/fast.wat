;; Does nothing, both ways in: what a benchmark measures with it is the sandbox alone.
(module
  (memory (export "memory") 1)
  (func (export "_start"))
  (func (export "fast")))
