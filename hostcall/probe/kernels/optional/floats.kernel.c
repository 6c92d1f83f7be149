/* Contended additions of floats: natively where PROBE_NATIVE is set, else by compare and exchange. */
#if defined(PROBE_NATIVE)
#if defined(__CUDACC__)
#define float_add(p, v) atomicAdd((p), (v))
#elif defined(__METAL_VERSION__)
/* "Metal Shading Language Specification", atomic_float: in device memory, since Metal 3. */
#define float_add(p, v) metal::atomic_fetch_add_explicit((device metal::atomic_float *)(p), (v), metal::memory_order_relaxed)
#else
#error "no native float atomics"
#endif
#else
#if defined(__OPENCL_VERSION__)
#define float_cas(p, o, n) atomic_cmpxchg((volatile __global hc_u32 *)(p), (o), (n))
#define FLOAT_BITS(f) as_uint(f)
#define FLOAT_OF(b) as_float(b)
#elif defined(__CUDACC__)
#define float_cas(p, o, n) atomicCAS((hc_u32 *)(p), (o), (n))
#define FLOAT_BITS(f) __float_as_uint(f)
#define FLOAT_OF(b) __uint_as_float(b)
#elif defined(__TINYC__)
#error "tcc has no compare and exchange"
#else
#if defined(__METAL_VERSION__)
/* It has the weak form alone, which may fail for no reason. */
HC_INLINE hc_u32 float_cas(GLOBAL float *p, hc_u32 old, hc_u32 v) {
    hc_u32 was = old;
    while (!metal::atomic_compare_exchange_weak_explicit((device metal::atomic_uint *)p, &was, v, metal::memory_order_relaxed, metal::memory_order_relaxed) && was == old) {}
    return was;
}
#else
HC_INLINE hc_u32 float_cas(GLOBAL float *p, hc_u32 old, hc_u32 v) {
    __atomic_compare_exchange_n((hc_u32 __attribute__((may_alias)) *)p, &old, v, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return old;
}
#endif
HC_INLINE hc_u32 FLOAT_BITS(float f) { union { float f; hc_u32 u; } b; b.f = f; return b.u; }
HC_INLINE float FLOAT_OF(hc_u32 u) { union { float f; hc_u32 u; } b; b.u = u; return b.f; }
#endif
HC_INLINE void float_add(GLOBAL float *p, float v) {
    hc_u32 old = hc_load((GLOBAL hc_u32 *)p), was;
    while ((was = float_cas(p, old, FLOAT_BITS(FLOAT_OF(old) + v))) != old) old = was;
}
#endif

KERNEL(floats, GLOBAL float *sum, hc_u32 times) {
    hc_u32 i;
    for (i = 0u; i < times; i++) float_add(sum, 0.5f);
}
