;; Computes for as long as it is told: spin(n) steps a 64-bit generator n times (one step costs a handful of fuel)
;; and returns its state. As a command, the first argument is n in decimal (digits only), and nothing is printed.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get"
    (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (memory (export "memory") 1)

  (func $spin (export "spin") (param $n i64) (result i64)
    (local $state i64)
    (local.set $state (i64.const 1))
    (block $done
      (loop $step
        (br_if $done (i64.le_s (local.get $n) (i64.const 0)))
        ;; Knuth's MMIX multiplier and increment: each step needs the last, so it cannot be skipped ahead cheaply.
        (local.set $state
          (i64.add (i64.mul (local.get $state) (i64.const 6364136223846793005)) (i64.const 1442695040888963407)))
        (local.set $n (i64.sub (local.get $n) (i64.const 1)))
        (br $step)))
    (local.get $state))

  (func $decimal (param $at i32) (result i64)
    (local $value i64) (local $digit i32)
    (block $end
      (loop $next
        (local.set $digit (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)))
        (br_if $end (i32.gt_u (local.get $digit) (i32.const 9)))
        (local.set $value
          (i64.add (i64.mul (local.get $value) (i64.const 10)) (i64.extend_i32_u (local.get $digit))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (local.get $value))

  ;; Traps unless there is an argument and all of argv fits: 8 pointers below 1024, 60 KiB of text above.
  (func (export "_start")
    (if (call $args_sizes_get (i32.const 0) (i32.const 4)) (then (unreachable)))
    (if (i32.lt_u (i32.load (i32.const 0)) (i32.const 2)) (then (unreachable)))
    (if (i32.gt_u (i32.load (i32.const 0)) (i32.const 8)) (then (unreachable)))
    (if (i32.gt_u (i32.load (i32.const 4)) (i32.const 61440)) (then (unreachable)))
    (if (call $args_get (i32.const 16) (i32.const 1024)) (then (unreachable)))
    (drop (call $spin (call $decimal (i32.load (i32.const 20)))))))
