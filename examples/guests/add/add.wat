;; The smallest useful guest: an exported function with number arguments and a number result.
(module
  (func (export "add") (param $a i32) (param $b i32) (result i32)
    (i32.add (local.get $a) (local.get $b))))
