#line 1 "check.h"
/* EXPECT compares two integers and prints the line on standard error if they differ. */
#define EXPECT(got, want)                                                                                          \
    do {                                                                                                           \
        const hc_i64 got_ = (hc_i64)(got), want_ = (hc_i64)(want);                                                 \
        if (got_ != want_)                                                                                         \
            hc_fprintf(2, "%s:%d: item %u: %s is %lld, want %lld\n", __FILE__, __LINE__, hc_global_id(), #got, got_, want_); \
    } while (0)
