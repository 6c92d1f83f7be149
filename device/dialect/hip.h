/* HIP C++ dialect: a wave of 32 or 64 lanes is a subgroup. Compiler builtins alone, no header: which functions the
   run-time compiler brings along differs between its versions. Orders and scopes are those of LLVM's "User Guide for
   AMDGPU Backend", section "Memory Model"; what __hip_atomic_* does not name is of system scope.

   Lanes of a wave run in lockstep: one program counter, and a mask of those for which it counts. Lanes that part in a branch
   go through its sides one after the other and meet behind it, and whoever leaves a loop first waits for those
   who are still in it. Hence
   - lanes that were together stay together until they part in a branch of the program's own: a mask need be
     awaited by nobody, and a step with a mask is one that its lanes take in the same instruction;
   - a lane never gets on while another lane of its wave waits in a loop for it. The library has no such loop: each
     waits for the host, or looks for a slot that nobody holds, of which there are enough. */

/* Words that HIP's own headers define, where they are taken in. */
#ifndef __global__
#define __global__ __attribute__((global))
#endif
#ifndef __device__
#define __device__ __attribute__((device))
#endif
#ifndef __shared__
#define __shared__ __attribute__((shared))
#endif
#ifndef __forceinline__
#define __forceinline__ inline __attribute__((always_inline))
#endif
#ifndef __noinline__
#define __noinline__ __attribute__((noinline))
#endif

#ifndef HC_LANES /* the host says it: a compiler may build for either size */
#define HC_LANES __AMDGCN_WAVEFRONT_SIZE
#endif

/* Older compilers make one instruction of a root, whose last digit may be wrong. */
#if __clang_major__ >= 19
#define HC_SQRT32(x) __builtin_sqrtf(x)
#define HC_SQRT64(x) __builtin_sqrt(x)
#endif
#define HC_CLZ32(x) __builtin_clz(x)
#define HC_CLZ64(x) __builtin_clzll(x)
#define HC_POPCOUNT32(x) __builtin_popcount(x)
#define HC_POPCOUNT64(x) __builtin_popcountll(x)

#define HC_DIM_(f, d) ((d) == 0 ? f##_x() : (d) == 1 ? f##_y() : f##_z())
#define hc_local_id_in(d) HC_DIM_(__builtin_amdgcn_workitem_id, d)
#define hc_group_id_in(d) HC_DIM_(__builtin_amdgcn_workgroup_id, d)
#define hc_group_size_in(d) ((hc_u32)HC_DIM_(__builtin_amdgcn_workgroup_size, d))
#define hc_group_count_in(d) (HC_DIM_(__builtin_amdgcn_grid_size, d) / hc_group_size_in(d)) /* the hardware's grid is in work-items */
#define hc_global_id_in(d) (hc_group_id_in(d) * hc_group_size_in(d) + hc_local_id_in(d))
HC_INLINE void hc_barrier_() {
    __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
    __builtin_amdgcn_s_barrier();
    __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}
#define hc_barrier() hc_barrier_()
/* Ends the whole wave. Nobody of it holds a slot then: lockstep has those who closed theirs at the same time wait for
   each other, and those of another branch hold none. The run is over for all of them. */
HC_INLINE void hc_stop_lane() { __builtin_amdgcn_endpgm(); }

HC_INLINE hc_u32 hc_load(const hc_u32 *p) { return __hip_atomic_load(p, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_SYSTEM); }
HC_INLINE hc_u32 hc_load_acquire(const hc_u32 *p) { return __hip_atomic_load(p, __ATOMIC_ACQUIRE, __HIP_MEMORY_SCOPE_SYSTEM); }
HC_INLINE hc_u64 hc_load64(const hc_u32 *p) { return __hip_atomic_load((const hc_u64 *)p, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_SYSTEM); }
HC_INLINE void hc_store(hc_u32 *p, hc_u32 v) { __hip_atomic_store(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_SYSTEM); }
HC_INLINE void hc_store_release(hc_u32 *p, hc_u32 v) { __hip_atomic_store(p, v, __ATOMIC_RELEASE, __HIP_MEMORY_SCOPE_SYSTEM); }
HC_INLINE void hc_store64(hc_u32 *p, hc_u64 v) { __hip_atomic_store((hc_u64 *)p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_SYSTEM); }
HC_INLINE void hc_store64_release(hc_u32 *p, hc_u64 v) { __hip_atomic_store((hc_u64 *)p, v, __ATOMIC_RELEASE, __HIP_MEMORY_SCOPE_SYSTEM); }
HC_INLINE void hc_store_pair(hc_u32 *p, hc_u64 a, hc_u64 b) {
    hc_store64(p + 2, b);
    hc_store64(p, a);
}
HC_INLINE void hc_store_pair_release(hc_u32 *p, hc_u64 a, hc_u64 b) {
    hc_store64(p + 2, b);
    hc_store64_release(p, a);
}
HC_INLINE void hc_fence() { __atomic_thread_fence(__ATOMIC_ACQ_REL); }
HC_INLINE hc_u32 hc_atomic_add_(hc_u32 *p, hc_u32 v) { return __hip_atomic_fetch_add(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT); }
#define hc_atomic_add(p, v) hc_atomic_add_((hc_u32 *)(p), (v))
HC_INLINE int hc_lock(hc_u32 *p, hc_u32 *ticket) {
    hc_u32 old = __hip_atomic_fetch_or(p, 1u, __ATOMIC_ACQUIRE, __HIP_MEMORY_SCOPE_AGENT);
    *ticket = old >> 1;
    return !(old & 1u);
}
/* A release: loads of the answer may still be under way, and the next holder's request has it overwritten. */
HC_INLINE void hc_unlock(hc_u32 *p, hc_u32 v) { __hip_atomic_store(p, v, __ATOMIC_RELEASE, __HIP_MEMORY_SCOPE_AGENT); }

#if HC_LANES > 32
typedef hc_u64 hc_mask;
#define hc_mask_high(m) ((hc_u32)((m) >> 32))
#define HC_BITS_(op, m) __builtin_##op##ll(m)
#else
typedef hc_u32 hc_mask;
#define hc_mask_high(m) 0u
#define HC_BITS_(op, m) __builtin_##op(m)
#endif
#define hc_mask_low(m) ((hc_u32)(m))

/* What the hardware does for a wave. Whatever stands in for it defines these words before, and is told the mask. */
#ifndef HC_WAVE_LANE
#if HC_LANES > 32
#define HC_WAVE_LANE() __builtin_amdgcn_mbcnt_hi(~0u, __builtin_amdgcn_mbcnt_lo(~0u, 0u))
#else
#define HC_WAVE_LANE() __builtin_amdgcn_mbcnt_lo(~0u, 0u)
#endif
/* The lanes for which x is not 0, of those that are here; 33 is "not equal", ICmpInst::ICMP_NE of LLVM. As old as HIP,
   unlike the builtins named ballot. */
#define HC_WAVE_BALLOT(m, x) ((hc_mask)__builtin_amdgcn_uicmp((hc_u32)(x), 0u, 33))
#define HC_WAVE_ACTIVE() HC_WAVE_BALLOT(0u, 1u)
/* v of that lane. Unlike readlane, several masks can take this step at once. On RDNA it reaches 32 lanes, which is a wave there. */
#define HC_WAVE_FROM(m, lane, v) ((hc_u32)__builtin_amdgcn_ds_bpermute((int)(lane) * 4, (int)(v)))
#define HC_WAVE_MEET(m) __builtin_amdgcn_wave_barrier() /* the compiler moves nothing across; lockstep does the rest */
#define HC_WAVE_BREATHE() ((void)0)
/* A wait looks back to back at first, then at distances that double, up to about 30 us: see cuda.h. */
#define HC_WAVE_PAUSE(turns)                                                                 \
    if ((turns) >= 6u)                                                                       \
        for (hc_u32 hc_n_ = 1u << ((turns) < 15u ? (turns) - 6u : 9u); hc_n_ > 0u; hc_n_--) \
            __builtin_amdgcn_s_sleep(2) /* 128 clocks */
/* A counter of constant rate that is the same for all, HC_CLOCK_KHZ of which the host gives. RDNA 3 has another
   instruction for it: 131 is MSG_RTN_GET_REALTIME. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_readsteadycounter)
#define HC_WAVE_TICKS() __builtin_readsteadycounter()
#elif defined(__gfx1100__) || defined(__gfx1101__) || defined(__gfx1102__) || defined(__gfx1103__) || defined(__GFX11__) || defined(__GFX12__)
#if __has_builtin(__builtin_amdgcn_s_sendmsg_rtnl)
#define HC_WAVE_TICKS() __builtin_amdgcn_s_sendmsg_rtnl(131)
#endif
#else
#define HC_WAVE_TICKS() __builtin_amdgcn_s_memrealtime()
#endif
#endif
#endif

HC_INLINE void hc_pause_(hc_u32 turns) { HC_WAVE_PAUSE(turns); }
#define hc_pause(turns) hc_pause_(turns)
#define hc_breathe() HC_WAVE_BREATHE()
HC_INLINE hc_u32 hc_lane() { return HC_WAVE_LANE(); }
HC_INLINE hc_mask hc_lanes_below_() { return ((hc_mask)1 << hc_lane()) - 1u; }
HC_INLINE hc_mask hc_active_mask() { return HC_WAVE_ACTIVE(); }
HC_INLINE hc_mask hc_ballot(hc_mask m, int x) { return HC_WAVE_BALLOT(m, x != 0) & m; }
HC_INLINE int hc_any(hc_mask m, int x) { return hc_ballot(m, x) != 0; }
HC_INLINE hc_u32 hc_broadcast(hc_mask m, hc_u32 v) { return HC_WAVE_FROM(m, HC_BITS_(ctz, m), v); }
HC_INLINE int hc_is_leader(hc_mask m) { return (m & hc_lanes_below_()) == 0; }
HC_INLINE hc_u32 hc_rank(hc_mask m) { return (hc_u32)HC_BITS_(popcount, m & hc_lanes_below_()); }
HC_INLINE hc_u32 hc_count(hc_mask m) { return (hc_u32)HC_BITS_(popcount, m); }
HC_INLINE void hc_sync(hc_mask m) {
    __builtin_amdgcn_fence(__ATOMIC_RELEASE, "wavefront");
    HC_WAVE_MEET(m);
    __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "wavefront");
}
HC_INLINE hc_u32 hc_subgroup_index() {
    hc_u32 group = (hc_group_id_in(2) * hc_group_count_in(1) + hc_group_id_in(1)) * hc_group_count_in(0) + hc_group_id_in(0);
    hc_u32 local = (hc_local_id_in(2) * hc_group_size_in(1) + hc_local_id_in(1)) * hc_group_size_in(0) + hc_local_id_in(0);
    hc_u32 size = hc_group_size_in(0) * hc_group_size_in(1) * hc_group_size_in(2);
    return group * ((size + HC_LANES - 1u) / HC_LANES) + local / HC_LANES;
}
/* Of the core's cycles, RDNA 3 gives 20 bits. */
#ifndef HC_CYCLES
#define HC_CYCLES() ((hc_u64)__builtin_readcyclecounter())
#endif
#if defined(HC_CLOCK_KHZ) && defined(HC_WAVE_TICKS)
HC_INLINE hc_u64 hc_clock_ns_() {
    hc_u64 t = HC_WAVE_TICKS();
    return t / HC_CLOCK_KHZ * 1000000u + t % HC_CLOCK_KHZ * 1000000u / HC_CLOCK_KHZ;
}
#define HC_DEVICE_CLOCK_NS() hc_clock_ns_()
#endif

HC_INLINE void hc_store_16(hc_u32 *to, const hc_u8 *from) {
    const hc_u64 *f = (const hc_u64 *)from;
    hc_store64(to, f[0]);
    hc_store64(to + 2, f[1]);
}
/* Eight loads in flight at once: each is a trip over the bus. */
HC_INLINE void hc_load_64(hc_u8 *to, const hc_u32 *from) {
    hc_u64 v[8];
    HC_UNROLL for (int i = 0; i < 8; i++) v[i] = hc_load64(from + i * 2);
    HC_UNROLL for (int i = 0; i < 8; i++) ((hc_u64 *)to)[i] = v[i];
}

/* From here on, functions of the program that say nothing are the device's, too. */
#ifdef __clang__
#pragma clang force_cuda_host_device begin
#endif
