;; Takes memory a page (64 KiB) at a time and touches each, until growth is refused; then traps.
(module
  (memory (export "memory") 1)
  (func $take
    (local $old_pages i32)
    (loop $more
      (local.set $old_pages (memory.grow (i32.const 1)))
      (if (i32.eq (local.get $old_pages) (i32.const -1)) (then (unreachable)))
      (i32.store (i32.shl (local.get $old_pages) (i32.const 16)) (i32.const 1))
      (br $more)))
  (export "_start" (func $take))
  (export "run" (func $take)))
