/* What CUDA C++ and HIP C++ have in common: words, and no function of either. */
typedef unsigned char hc_u8;
typedef int hc_i32;
typedef unsigned int hc_u32;
typedef long long hc_i64;
typedef unsigned long long hc_u64;
typedef decltype(sizeof(0)) hc_size;

#define GLOBAL
#define GROUP
#define CONSTANT const
#define SHARED __shared__
#define DEVICE static __device__ inline
#define HC_INLINE static __device__ __forceinline__
#define HC_NOINLINE static __device__ __noinline__
#define HC_OVERLOAD static __device__ inline
#define HC_UNROLL _Pragma("unroll")
#define HC_CPLUSPLUS 1
#define HC_ONE_SPACE 1
#define HC_WORD_COPIES 1
#define HC_DOUBLE 1
#define HC_EXACT_FLOAT 1
#define HC_SUBNORMALS 1
#define HC_EXACT_DIVISION 1
#define HC_WIDE 1

#define HC hc_u32 *hc_local_, hc_u32 *hc_mail_, const hc_params &hc_params_
#define hc hc_local_, hc_mail_, hc_params_
#define HC_P(field) (hc_params_.field)
/* hc as a field, for functions that are not given it: HC_KEEP fills it, HC_RECALL declares hc again. */
#define HC_KEPT struct { hc_u32 *local, *mail; const hc_params *params; }
#define HC_KEEP(to) ((to)->local = hc_local_, (to)->mail = hc_mail_, (to)->params = &hc_params_)
#define HC_RECALL(from) hc_u32 *const hc_local_ = (from)->local, *const hc_mail_ = (from)->mail; const hc_params &hc_params_ = *(from)->params
#define HC_KERNEL(name) extern "C" __global__ void name
#define HC_KERNEL_PARAMS hc_u32 *hc_local_, hc_u32 *hc_mail_, const hc_params hc_params_
