/* Taken in before HIP C++ that is compiled for the host: the words of HIP, and the builtins of AMD's compiler
   that dialect/hip.h uses. A kernel's lanes are fibers; group memory is thread-local, for a thread runs one group at a time. */
#include "../../../cpu/native/abi.h"
#include "lanes.h"

static const struct standin_lanes *standin;
extern "C" void standin_bind(const struct standin_lanes *lanes) { standin = lanes; }

/* hiprtc.c looks for this word, and takes it out again. */
#define __global__ STANDIN_KERNEL
#define __device__
#define __host__
#define __shared__ static __thread
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline, unused))

struct standin_ids {
    unsigned x, y, z;
};
static inline standin_ids standin_ids_of(const unsigned *v) { return {v[0], v[1], v[2]}; }
#define threadIdx standin_ids_of(standin->item()->local_id)
#define blockIdx standin_ids_of(standin->item()->group_id)
#define blockDim standin_ids_of(standin->item()->group_size)
#define gridDim standin_ids_of(standin->item()->group_count)
#define __syncthreads() standin->barrier(standin->item())

#define __builtin_amdgcn_workitem_id_x() (standin->item()->local_id[0])
#define __builtin_amdgcn_workitem_id_y() (standin->item()->local_id[1])
#define __builtin_amdgcn_workitem_id_z() (standin->item()->local_id[2])
#define __builtin_amdgcn_workgroup_id_x() (standin->item()->group_id[0])
#define __builtin_amdgcn_workgroup_id_y() (standin->item()->group_id[1])
#define __builtin_amdgcn_workgroup_id_z() (standin->item()->group_id[2])
#define __builtin_amdgcn_workgroup_size_x() (standin->item()->group_size[0])
#define __builtin_amdgcn_workgroup_size_y() (standin->item()->group_size[1])
#define __builtin_amdgcn_workgroup_size_z() (standin->item()->group_size[2])
#define STANDIN_GRID(d) (standin->item()->group_size[d] * standin->item()->group_count[d])
#define __builtin_amdgcn_grid_size_x() STANDIN_GRID(0)
#define __builtin_amdgcn_grid_size_y() STANDIN_GRID(1)
#define __builtin_amdgcn_grid_size_z() STANDIN_GRID(2)
#define __builtin_amdgcn_s_barrier() standin->barrier(standin->item())
#define __builtin_amdgcn_endpgm() standin->leave(standin->item())
#define __builtin_amdgcn_s_sleep(n) standin->pause(standin->item(), 100u)
#define __builtin_amdgcn_s_memrealtime() standin->ticks()
#define __builtin_amdgcn_fence(order, scope) __atomic_thread_fence(order)

#define __HIP_MEMORY_SCOPE_WAVEFRONT 2
#define __HIP_MEMORY_SCOPE_WORKGROUP 3
#define __HIP_MEMORY_SCOPE_AGENT 4
#define __HIP_MEMORY_SCOPE_SYSTEM 5
#define __hip_atomic_load(p, order, scope) __atomic_load_n(p, order)
#define __hip_atomic_store(p, v, order, scope) __atomic_store_n(p, v, order)
#define __hip_atomic_fetch_add(p, v, order, scope) __atomic_fetch_add(p, v, order)
#define __hip_atomic_fetch_or(p, v, order, scope) __atomic_fetch_or(p, v, order)

#define HC_WAVE_LANE() standin->lane(standin->item(), HC_LANES)
#define HC_WAVE_ACTIVE() ((hc_mask)standin->active(standin->item(), HC_LANES))
#define HC_WAVE_BALLOT(m, x) ((hc_mask)standin->ballot(standin->item(), HC_LANES, m, x))
#define HC_WAVE_FROM(m, n, v) standin->from(standin->item(), HC_LANES, m, (unsigned)(n), v)
#define HC_WAVE_MEET(m) ((void)standin->ballot(standin->item(), HC_LANES, m, 0u))
#define HC_WAVE_BREATHE() standin->pause(standin->item(), 0u)
#define HC_WAVE_PAUSE(turns) standin->pause(standin->item(), turns)
#define HC_WAVE_TICKS() standin->ticks()
#define HC_CYCLES() ((hc_u64)standin->ticks())

/* A launch gives pointers to the arguments. */
template <unsigned... I> struct standin_sequence {};
template <unsigned N, unsigned... I> struct standin_count : standin_count<N - 1, N - 1, I...> {};
template <unsigned... I> struct standin_count<0, I...> { typedef standin_sequence<I...> type; };
template <class... P, unsigned... I> static void standin_spread(void (*f)(P...), void **a, standin_sequence<I...>) { f(*(P *)a[I]...); }
template <class... P> static void standin_call(void (*f)(P...), void **a) { standin_spread(f, a, typename standin_count<sizeof...(P)>::type()); }
template <class... P> static const unsigned *standin_sizes(void (*)(P...)) {
    static const unsigned sizes[] = {sizeof...(P), sizeof(P)...};
    return sizes;
}
