#line 1 "check.h"
/* EXPECT compares two integers and notes line, item and both if they differ, for the host to tell. It is no
   call: drivers that inline everything would take long over hundreds of them. What a work-item gets that has been cancelled
   says nothing: it comes here again. */
#define EXPECT(got, want) note_(hc, checks, __LINE__, hc_global_id(), (hc_i64)(got), (hc_i64)(want))
DEVICE void note_(HC, GLOBAL hc_u32 *checks, hc_u32 line, hc_u32 item, hc_i64 got, hc_i64 want) {
    if (got != want && !hc_cancelled()) {
        const hc_u32 at = hc_atomic_add(checks, 1u);
        if (at < 100u) {
            GLOBAL hc_u32 *to = checks + 2u + at * 6u;
            to[0] = line;
            to[1] = item;
            to[2] = (hc_u32)got;
            to[3] = (hc_u32)((hc_u64)got >> 32);
            to[4] = (hc_u32)want;
            to[5] = (hc_u32)((hc_u64)want >> 32);
        }
    }
}
