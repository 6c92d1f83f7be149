/* Floats of one width: the text comes twice, for f64 and then for f32. VM_F(add) is the name of an addition, VM_BITS and
   VM_INT are integers of VM_WIDTH bits, of which a float's fraction has VM_DIGITS. VM_NATIVE is the device's own type, where it is to compute. */

#define VM_SIGN ((VM_BITS)1 << (VM_WIDTH - 1u))
#define VM_FRACTION (((VM_BITS)1 << VM_DIGITS) - 1u)
#define VM_INFINITY (VM_SIGN - 1u - VM_FRACTION)
#define VM_NAN (VM_INFINITY | (VM_BITS)1 << (VM_DIGITS - 1u))
#define VM_BIAS (VM_INFINITY >> (VM_DIGITS + 1u))
#define VM_ABS(a) ((a) & (VM_SIGN - 1u))
#define VM_IS_NAN(a) (VM_ABS(a) > VM_INFINITY)

#ifdef VM_NATIVE
DEVICE VM_NATIVE VM_F(value)(VM_BITS bits) {
    union { VM_BITS bits; VM_NATIVE value; } u;
    u.bits = bits;
    return u.value;
}
DEVICE VM_BITS VM_F(bits)(VM_NATIVE value) {
    union { VM_BITS bits; VM_NATIVE value; } u;
    u.value = value;
    return u.bits;
}
#endif

/* An integer with the order of the floats that are none of NaN; -0 is below 0. */
DEVICE VM_INT VM_F(order)(VM_BITS a) { return (VM_INT)((a & VM_SIGN) != 0u ? a ^ (VM_SIGN - 1u) : a); }

#if defined(VM_NATIVE) && !defined(VM_FLUSHES)
DEVICE hc_u32 VM_F(eq)(VM_BITS a, VM_BITS b) { return (hc_u32)(VM_F(value)(a) == VM_F(value)(b)); }
DEVICE hc_u32 VM_F(lt)(VM_BITS a, VM_BITS b) { return (hc_u32)(VM_F(value)(a) < VM_F(value)(b)); }
DEVICE hc_u32 VM_F(le)(VM_BITS a, VM_BITS b) { return (hc_u32)(VM_F(value)(a) <= VM_F(value)(b)); }
#else
DEVICE hc_u32 VM_F(eq)(VM_BITS a, VM_BITS b) { return (hc_u32)(!VM_IS_NAN(a) && (a == b || VM_ABS(a | b) == 0u)); }
DEVICE hc_u32 VM_F(lt)(VM_BITS a, VM_BITS b) {
    return (hc_u32)(!VM_IS_NAN(a) && !VM_IS_NAN(b) && VM_F(order)(a) < VM_F(order)(b) && VM_ABS(a | b) != 0u);
}
DEVICE hc_u32 VM_F(le)(VM_BITS a, VM_BITS b) {
    return (hc_u32)(!VM_IS_NAN(a) && !VM_IS_NAN(b) && (VM_F(order)(a) <= VM_F(order)(b) || VM_ABS(a | b) == 0u));
}
#endif
DEVICE VM_BITS VM_F(min)(VM_BITS a, VM_BITS b) { return VM_IS_NAN(a) || VM_IS_NAN(b) ? VM_NAN : VM_F(order)(a) < VM_F(order)(b) ? a : b; }
DEVICE VM_BITS VM_F(max)(VM_BITS a, VM_BITS b) { return VM_IS_NAN(a) || VM_IS_NAN(b) ? VM_NAN : VM_F(order)(a) < VM_F(order)(b) ? b : a; }

/* To an integer, by adding to the magnitude and then dropping the fraction: nothing, all but the smallest part of one, or half of one. A carry makes
   the next exponent. What is below one becomes 0 or 1 with its sign. */
DEVICE VM_BITS VM_F(integral)(VM_BITS a, int away, int nearest) {
    const VM_BITS x = VM_ABS(a), digits = (x >> VM_DIGITS) - VM_BIAS; /* before the point */
    VM_BITS fraction;
    if (x < VM_BIAS << VM_DIGITS) return (a & VM_SIGN) | (away && x != 0u || nearest && x > (VM_BIAS - 1u) << VM_DIGITS ? VM_BIAS << VM_DIGITS : 0u);
    if (digits >= VM_DIGITS) return VM_IS_NAN(a) ? VM_NAN : a;
    fraction = VM_FRACTION >> digits;
    return (a + (nearest ? (fraction >> 1) + (a >> (VM_DIGITS - digits) & 1u) : away ? fraction : 0u)) & ~fraction;
}
DEVICE VM_BITS VM_F(ceil)(VM_BITS a) { return VM_F(integral)(a, (a & VM_SIGN) == 0u, 0); }
DEVICE VM_BITS VM_F(floor)(VM_BITS a) { return VM_F(integral)(a, (a & VM_SIGN) != 0u, 0); }
DEVICE VM_BITS VM_F(trunc)(VM_BITS a) { return VM_F(integral)(a, 0, 0); }
DEVICE VM_BITS VM_F(nearest)(VM_BITS a) { return VM_F(integral)(a, 0, 1); }

/* The magnitude without its fraction, 2^64-1 if it has no room: no float is that. */
DEVICE hc_u64 VM_F(magnitude)(VM_BITS a) {
    const VM_BITS x = VM_ABS(a);
#ifdef VM_NATIVE
    return x < (VM_BIAS + 64u) << VM_DIGITS ? (hc_u64)VM_F(value)(x) : 0xffffffffffffffff;
#else
    const hc_u32 e = (hc_u32)(x >> VM_DIGITS);
    if (e < VM_BIAS) return 0u;
    if (e >= VM_BIAS + 64u) return 0xffffffffffffffff;
    return ((hc_u64)a << (63u - VM_DIGITS) | 0x8000000000000000) >> (63u - (e - VM_BIAS));
#endif
}
DEVICE hc_u64 VM_F(integer)(vm_state *vm, VM_BITS a, hc_u64 most_negative, hc_u64 most) {
    const hc_u64 m = VM_F(magnitude)(a);
    if (VM_IS_NAN(a)) return vm_trap(vm, VM_CONVERSION);
    if (m > ((a & VM_SIGN) != 0u ? most_negative : most)) return vm_trap(vm, VM_OVERFLOW);
    return (a & VM_SIGN) != 0u ? 0u - m : m;
}
DEVICE hc_u64 VM_F(clamped)(VM_BITS a, hc_u64 most_negative, hc_u64 most) {
    const hc_u64 limit = (a & VM_SIGN) != 0u ? most_negative : most;
    hc_u64 m = VM_F(magnitude)(a);
    if (VM_IS_NAN(a)) return 0u;
    if (m > limit) m = limit;
    return (a & VM_SIGN) != 0u ? 0u - m : m;
}

#if defined(VM_NATIVE) && !defined(VM_FLUSHES)
DEVICE VM_BITS VM_F(from_i32)(hc_u32 a) { return VM_F(bits)((VM_NATIVE)(hc_i32)a); }
DEVICE VM_BITS VM_F(from_u32)(hc_u32 a) { return VM_F(bits)((VM_NATIVE)a); }
DEVICE VM_BITS VM_F(from_i64)(hc_u64 a) { return VM_F(bits)((VM_NATIVE)(hc_i64)a); }
DEVICE VM_BITS VM_F(from_u64)(hc_u64 a) { return VM_F(bits)((VM_NATIVE)a); }
#else
DEVICE VM_BITS VM_F(from_u64)(hc_u64 a) { return (VM_BITS)vm_round(0u, 63, a, VM_DIGITS); }
DEVICE VM_BITS VM_F(from_i64)(hc_u64 a) { return (hc_i64)a < 0 ? (VM_BITS)vm_round(1u, 63, 0u - a, VM_DIGITS) : VM_F(from_u64)(a); }
DEVICE VM_BITS VM_F(from_u32)(hc_u32 a) { return VM_F(from_u64)(a); }
DEVICE VM_BITS VM_F(from_i32)(hc_u32 a) { return VM_F(from_i64)((hc_u64)(hc_i64)(hc_i32)a); }
#endif

/* The device's arithmetic counts where all that has to do with it are numbers that it keeps. */
#ifdef VM_FLUSHES
#define VM_KEEPS(a) (VM_ABS(a) > VM_FRACTION || VM_ABS(a) == 0u)
#define VM_KEPT(a, b, r) (VM_KEEPS(a) && VM_KEEPS(b) && VM_ABS(r) > VM_FRACTION)
#else
#define VM_KEPT(a, b, r) 1
#endif
#define VM_OWN(name, operator)                                                   \
    DEVICE VM_BITS VM_F(name)(VM_BITS a, VM_BITS b) {                            \
        const VM_BITS r = VM_F(bits)(VM_F(value)(a) operator VM_F(value)(b));    \
        return VM_KEPT(a, b, r) ? r : VM_SOFT(name)(a, b);                       \
    }
#define VM_OTHER(name) \
    DEVICE VM_BITS VM_F(name)(VM_BITS a, VM_BITS b) { return VM_SOFT(name)(a, b); }
#ifdef VM_NATIVE
VM_OWN(add, +)
VM_OWN(mul, *)
#else
VM_OTHER(add)
VM_OTHER(mul)
#endif
#ifdef VM_NATIVE_DIVISION
VM_OWN(div, /)
#else
VM_OTHER(div)
#endif
#ifdef VM_NATIVE /* not as an addition: a compiler keeps floats where it computes, and the sign would be turned elsewhere */
DEVICE VM_BITS VM_F(sub)(VM_BITS a, VM_BITS b) {
    const VM_BITS r = VM_F(bits)(VM_F(value)(a) - VM_F(value)(b));
    return VM_KEPT(a, b, r) ? r : VM_SOFT(add)(a, b ^ VM_SIGN);
}
#else
DEVICE VM_BITS VM_F(sub)(VM_BITS a, VM_BITS b) { return VM_F(add)(a, b ^ VM_SIGN); }
#endif
#ifdef VM_NATIVE_SQRT
DEVICE VM_BITS VM_F(sqrt)(VM_BITS a) {
    const VM_BITS r = VM_F(bits)(VM_NATIVE_SQRT(VM_F(value)(a)));
    return VM_KEPT(a, a, r) ? r : VM_SOFT(sqrt)(a);
}
#else
DEVICE VM_BITS VM_F(sqrt)(VM_BITS a) { return VM_SOFT(sqrt)(a); }
#endif

#undef VM_SIGN
#undef VM_FRACTION
#undef VM_INFINITY
#undef VM_NAN
#undef VM_BIAS
#undef VM_ABS
#undef VM_IS_NAN
#undef VM_KEEPS
#undef VM_KEPT
#undef VM_OWN
#undef VM_OTHER
