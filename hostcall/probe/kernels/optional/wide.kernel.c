/* 64-bit atomics: PROBE_LEVEL 1 has min and max alone, 2 adds and exchanges too, 3 compares as well. A language without them
   refuses this file. */
#ifndef PROBE_LEVEL
#define PROBE_LEVEL 3
#endif
#if defined(__OPENCL_VERSION__)
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable
#ifdef cl_khr_int64_extended_atomics
#pragma OPENCL EXTENSION cl_khr_int64_extended_atomics : enable
#elif PROBE_LEVEL != 2
#error "no 64-bit min and max"
#endif
#ifndef cl_khr_int64_base_atomics
#error "no 64-bit atomics"
#endif
#define WIDE volatile __global ulong
#define wide_add(p, v) atom_add((WIDE *)(p), (hc_u64)(v))
#define wide_swap(p, v) atom_xchg((WIDE *)(p), (hc_u64)(v))
#define wide_cas(p, o, n) atom_cmpxchg((WIDE *)(p), (o), (n))
#define wide_min(p, v) atom_min((WIDE *)(p), (hc_u64)(v))
#define wide_max(p, v) atom_max((WIDE *)(p), (hc_u64)(v))
#elif defined(__CUDACC__)
#define wide_add(p, v) atomicAdd((unsigned long long *)(p), (unsigned long long)(v))
#define wide_swap(p, v) atomicExch((unsigned long long *)(p), (unsigned long long)(v))
#define wide_cas(p, o, n) atomicCAS((unsigned long long *)(p), (unsigned long long)(o), (unsigned long long)(n))
#define wide_min(p, v) atomicMin((unsigned long long *)(p), (unsigned long long)(v))
#define wide_max(p, v) atomicMax((unsigned long long *)(p), (unsigned long long)(v))
#elif defined(__METAL_VERSION__)
/* "Metal Shading Language Specification", atomic_ulong: in device memory, without a result, and not on every GPU. */
#if PROBE_LEVEL != 1
#error "of 64-bit atomics the language has min and max alone"
#endif
#define wide_min(p, v) metal::atomic_min_explicit((device metal::atomic_ulong *)(p), (hc_u64)(v), metal::memory_order_relaxed)
#define wide_max(p, v) metal::atomic_max_explicit((device metal::atomic_ulong *)(p), (hc_u64)(v), metal::memory_order_relaxed)
#elif defined(__TINYC__)
#error "tcc has no 64-bit atomics"
#else
HC_INLINE hc_u64 wide_cas(hc_u64 *p, hc_u64 old, hc_u64 v) {
    __atomic_compare_exchange_n(p, &old, v, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return old;
}
#define wide_add(p, v) __atomic_fetch_add((p), (hc_u64)(v), __ATOMIC_RELAXED)
#define wide_swap(p, v) __atomic_exchange_n((p), (hc_u64)(v), __ATOMIC_RELAXED)
#define WIDE_FOLD(name, better) \
    HC_INLINE void name(hc_u64 *p, hc_u64 v) { \
        hc_u64 old = __atomic_load_n(p, __ATOMIC_RELAXED); \
        while (v better old && !__atomic_compare_exchange_n(p, &old, v, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {} \
    }
WIDE_FOLD(wide_min, <)
WIDE_FOLD(wide_max, >)
#endif

#define STEP 0x100000001ul

/* cells: a sum, one by compare and exchange, the least, the greatest, and an exchanged value. */
KERNEL(wide, GLOBAL hc_u64 *cells, hc_u32 times) {
    const hc_u64 me = ((hc_u64)hc_global_id() + 1u) << 33;
    hc_u32 i;
    for (i = 0u; i < times; i++) {
#if PROBE_LEVEL >= 2
        wide_add(cells, STEP);
        wide_swap(cells + 4, me);
#endif
#if PROBE_LEVEL >= 3
        {
            hc_u64 old = cells[1], was;
            while ((was = wide_cas(cells + 1, old, old + STEP)) != old) old = was;
        }
#endif
#if PROBE_LEVEL != 2
        wide_min(cells + 2, me);
        wide_max(cells + 3, me);
#endif
    }
}
