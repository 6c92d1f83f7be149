/* Floats of 32 bits. What the device does not do right is done with those of 64 bits, which have more than twice the digits: to round to them first changes
   nothing for these operations (Figueroa, "When is double rounding innocuous?"). */
#undef VM_F
#undef VM_SOFT
#undef VM_BITS
#undef VM_INT
#undef VM_WIDTH
#undef VM_DIGITS
#undef VM_NATIVE
#undef VM_NATIVE_DIVISION
#undef VM_NATIVE_SQRT
#define VM_F(name) vm_f32_##name
#define VM_SOFT(name) vm_soft_f32_##name
#define VM_BITS hc_u32
#define VM_INT hc_i32
#define VM_WIDTH 32u
#define VM_DIGITS 23u
#if defined(HC_EXACT_FLOAT) && !defined(VM_SOFT_FLOAT)
#define VM_NATIVE float
#ifdef HC_EXACT_DIVISION
#define VM_NATIVE_DIVISION 1
#endif
#ifdef HC_SQRT32
#define VM_NATIVE_SQRT(x) HC_SQRT32(x)
#endif
#ifndef HC_SUBNORMALS
#define VM_FLUSHES 1
#endif
#endif

#if defined(HC_DOUBLE) && defined(HC_EXACT_FLOAT) && defined(HC_SUBNORMALS) && !defined(VM_SOFT_FLOAT)
DEVICE hc_u64 vm_f64_from_f32(hc_u32 a) {
    union { hc_u32 bits; float value; } u;
    u.bits = a;
    return vm_f64_bits((double)u.value);
}
DEVICE hc_u32 vm_f32_from_f64(hc_u64 a) {
    union { hc_u32 bits; float value; } u;
    u.value = (float)vm_f64_value(a);
    return u.bits;
}
#else
DEVICE hc_u64 vm_f64_from_f32(hc_u32 a) { return vm_soft_f64_from_f32(a); }
DEVICE hc_u32 vm_f32_from_f64(hc_u64 a) { return vm_soft_f32_from_f64(a); }
#endif

HC_NOINLINE hc_u32 vm_soft_f32_add(hc_u32 a, hc_u32 b) { return vm_f32_from_f64(vm_f64_add(vm_f64_from_f32(a), vm_f64_from_f32(b))); }
HC_NOINLINE hc_u32 vm_soft_f32_mul(hc_u32 a, hc_u32 b) { return vm_f32_from_f64(vm_f64_mul(vm_f64_from_f32(a), vm_f64_from_f32(b))); }
HC_NOINLINE hc_u32 vm_soft_f32_div(hc_u32 a, hc_u32 b) { return vm_f32_from_f64(vm_f64_div(vm_f64_from_f32(a), vm_f64_from_f32(b))); }
HC_NOINLINE hc_u32 vm_soft_f32_sqrt(hc_u32 a) { return vm_f32_from_f64(vm_f64_sqrt(vm_f64_from_f32(a))); }
