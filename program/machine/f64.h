/* Floats of 64 bits: the device's own, or those on integers. */
#define VM_F(name) vm_f64_##name
#define VM_SOFT(name) vm_soft_f64_##name
#define VM_BITS hc_u64
#define VM_INT hc_i64
#define VM_WIDTH 64u
#define VM_DIGITS 52u
#if defined(HC_DOUBLE) && !defined(VM_SOFT_FLOAT)
#define VM_NATIVE double
#define VM_NATIVE_DIVISION 1
#ifdef HC_SQRT64
#define VM_NATIVE_SQRT(x) HC_SQRT64(x)
#endif
/* Variables that floats are computed in. */
#define VM_DOUBLE_TYPE double
#define VM_DOUBLE(bits) vm_f64_value(bits)
#define VM_DOUBLE_BITS(v) vm_f64_bits(v)
#else
#define VM_DOUBLE_TYPE hc_u64
#define VM_DOUBLE(bits) (bits)
#define VM_DOUBLE_BITS(v) (v)
#endif
