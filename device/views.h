/* A view is where bytes to send are, a room where received bytes go, in any address space. */
#ifdef HC_ONE_SPACE
typedef struct { hc_u32 space; const hc_u8 *any; } hc_view;
typedef struct { hc_u32 space; hc_u8 *any; } hc_room;
#else
typedef struct {
    hc_u32 space;
    const hc_u8 *in_own;
    GLOBAL const hc_u8 *in_global;
    HC_GROUP_SPACE const hc_u8 *in_group;
    CONSTANT const hc_u8 *in_fixed;
} hc_view;
typedef struct {
    hc_u32 space;
    hc_u8 *in_own;
    GLOBAL hc_u8 *in_global;
    HC_GROUP_SPACE hc_u8 *in_group;
} hc_room;
#endif

/* An argument of printf: a number's bits, or text of bits bytes. */
typedef struct {
    hc_u32 kind;
    hc_u64 bits;
    hc_view text;
} hc_value;

typedef struct { hc_value at[13]; } hc_values;

#ifdef HC_CPLUSPLUS
#define HC_ZERO {}
#define HC_VALUES hc_values { {
#define HC_VALUES_END } }
#else
#define HC_ZERO {0}
#define HC_VALUES ((hc_values){ {
#define HC_VALUES_END } })
#endif
#ifdef HC_GENERIC
#define HC_ARG(name) hc_arg_##name
#else
#define HC_ARG(name) hc_arg
#endif
