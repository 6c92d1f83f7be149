/* Floats of 64 bits on integers alone, and conversions between floats. */

#define VM_F64_SIGN 0x8000000000000000
#define VM_F64_INFINITY 0x7ff0000000000000
#define VM_F64_NAN 0x7ff8000000000000
#define VM_F64_ONE 0x0010000000000000 /* the digit that is not stored */

/* The float with that many digits stored (52 or 23) that is nearest to m * 2^(e - 63), the even one of two. Bit 0 of m may stand for all that
   is behind it. negative is 0 or 1. */
HC_NOINLINE hc_u64 vm_round(hc_u32 negative, hc_i32 e, hc_u64 m, hc_u32 digits) {
    const hc_i32 bias = digits == 52u ? 1023 : 127;
    const hc_u64 sign = (hc_u64)negative << (digits == 52u ? 63 : 31);
    const hc_u32 zeros = (hc_u32)vm_i64_clz(m);
    hc_u32 drop = 63u - digits;
    hc_u64 kept, rest;
    if (m == 0u) return sign;
    m <<= zeros;
    e += bias - (hc_i32)zeros;
    if (e > 2 * bias) return sign | (hc_u64)(2 * bias + 1) << digits;
    if (e < -(hc_i32)digits) return sign; /* less than half of the smallest */
    if (e < 1) {                          /* a subnormal, which has fewer digits */
        drop += (hc_u32)(1 - e);
        e = 1;
    }
    kept = drop < 64u ? m >> drop : 0u;
    rest = m << (64u - drop);
    if (rest > VM_F64_SIGN || rest == VM_F64_SIGN && (kept & 1u) != 0u) kept++;
    return sign | (kept + ((hc_u64)(e - 1) << digits)); /* a carry makes the next exponent */
}

typedef struct {
    hc_u64 m; /* 0, or with bit 63 set */
    hc_i32 e; /* the value is m * 2^(e - 63) */
} vm_parts;

/* Of a finite number without its sign. */
DEVICE vm_parts vm_take(hc_u64 a, hc_u32 digits) {
    vm_parts p;
    const hc_i32 e = (hc_i32)(a >> digits);
    hc_u32 zeros;
    p.m = a << (63u - digits);
    p.m = e != 0 ? p.m | VM_F64_SIGN : p.m << 1;
    zeros = p.m != 0u ? (hc_u32)vm_i64_clz(p.m) : 0u;
    p.m <<= zeros;
    p.e = e - (digits == 52u ? 1023 : 127) - (hc_i32)zeros;
    return p;
}

/* The same number, or the nearest, with other digits; of infinity and NaN, with the quiet NaN. */
HC_NOINLINE hc_u64 vm_soft_f64_from_f32(hc_u32 a) {
    const hc_u32 x = a & 0x7fffffffu;
    vm_parts p;
    if (x >= 0x7f800000u) return (x > 0x7f800000u ? VM_F64_NAN : VM_F64_INFINITY) | (hc_u64)(a >> 31) << 63;
    p = vm_take(x, 23u);
    return vm_round(a >> 31, p.e, p.m, 52u);
}
HC_NOINLINE hc_u32 vm_soft_f32_from_f64(hc_u64 a) {
    const hc_u64 x = a & ~VM_F64_SIGN;
    const hc_u32 negative = (hc_u32)(a >> 63);
    vm_parts p;
    if (x >= VM_F64_INFINITY) return (x > VM_F64_INFINITY ? 0x7fc00000u : 0x7f800000u) | negative << 31;
    p = vm_take(x, 52u);
    return (hc_u32)vm_round(negative, p.e, p.m, 23u);
}

HC_NOINLINE hc_u64 vm_soft_f64_add(hc_u64 a, hc_u64 b) {
    hc_u64 x = a & ~VM_F64_SIGN, y = b & ~VM_F64_SIGN, swap;
    hc_i32 e;
    hc_u32 d;
    if (x < y) {
        swap = a, a = b, b = swap;
        swap = x, x = y, y = swap;
    }
    if (x >= VM_F64_INFINITY) return x > VM_F64_INFINITY || y == VM_F64_INFINITY && a != b ? VM_F64_NAN : a;
    e = x >= VM_F64_ONE ? (hc_i32)(x >> 52) : 1;
    d = (hc_u32)(e - (y >= VM_F64_ONE ? (hc_i32)(y >> 52) : 1));
    /* Ten digits behind those that there are, of which the last stands for all behind. */
    x = ((x & VM_F64_ONE - 1u) | (x >= VM_F64_ONE ? VM_F64_ONE : 0u)) << 10;
    y = ((y & VM_F64_ONE - 1u) | (y >= VM_F64_ONE ? VM_F64_ONE : 0u)) << 10;
    if (d >= 64u) y = y != 0u;
    else if (d != 0u) y = y >> d | (y << (64u - d) != 0u);
    x = (a ^ b) >> 63 != 0u ? x - y : x + y;
    if (x == 0u) return a & b & VM_F64_SIGN;
    return vm_round((hc_u32)(a >> 63), e - 1022, x, 52u);
}

HC_NOINLINE hc_u64 vm_soft_f64_mul(hc_u64 a, hc_u64 b) {
    const hc_u64 x = a & ~VM_F64_SIGN, y = b & ~VM_F64_SIGN, sign = (a ^ b) & VM_F64_SIGN;
    vm_parts p, q;
    hc_u64 low, middle, high;
    if (x >= VM_F64_INFINITY || y >= VM_F64_INFINITY)
        return x > VM_F64_INFINITY || y > VM_F64_INFINITY || x == 0u || y == 0u ? VM_F64_NAN : sign | VM_F64_INFINITY;
    p = vm_take(x, 52u);
    q = vm_take(y, 52u);
    low = (p.m & 0xffffffffu) * (q.m & 0xffffffffu);
    middle = (p.m >> 32) * (q.m & 0xffffffffu) + (low >> 32);
    high = (p.m >> 32) * (q.m >> 32) + (middle >> 32);
    middle = (p.m & 0xffffffffu) * (q.m >> 32) + (middle & 0xffffffffu);
    high += middle >> 32;
    return vm_round((hc_u32)(sign >> 63), p.e + q.e + 1, high | ((middle << 32 | low & 0xffffffffu) != 0u), 52u);
}

HC_NOINLINE hc_u64 vm_soft_f64_div(hc_u64 a, hc_u64 b) {
    const hc_u64 x = a & ~VM_F64_SIGN, y = b & ~VM_F64_SIGN, sign = (a ^ b) & VM_F64_SIGN;
    vm_parts p, q;
    hc_u64 rest, quotient = 0u;
    hc_u32 i;
    if (x > VM_F64_INFINITY || y > VM_F64_INFINITY || x == y && (x == 0u || x == VM_F64_INFINITY)) return VM_F64_NAN;
    if (x == VM_F64_INFINITY || y == 0u) return sign | VM_F64_INFINITY;
    if (x == 0u || y == VM_F64_INFINITY) return sign;
    p = vm_take(x, 52u);
    q = vm_take(y, 52u);
    q.m >>= 1; /* room for twice the rest */
    rest = p.m >> 1;
    for (i = 0u; i < 56u; i++) {
        quotient <<= 1;
        if (rest >= q.m) {
            rest -= q.m;
            quotient |= 1u;
        }
        rest <<= 1;
    }
    return vm_round((hc_u32)(sign >> 63), p.e - q.e + 8, quotient | (rest != 0u), 52u);
}

/* Finds the root's digits from the first to the last: each is set if the square does not get too large. double_root is twice what is found, rest
   what the square leaves, and both move up against the digits. */
HC_NOINLINE hc_u64 vm_soft_f64_sqrt(hc_u64 a) {
    vm_parts p;
    hc_u64 rest, double_root = 0u, digit;
    if (a == 0u || a == VM_F64_SIGN || a == VM_F64_INFINITY) return a;
    if (a > VM_F64_INFINITY) return VM_F64_NAN; /* or negative */
    p = vm_take(a, 52u);
    rest = (p.e & 1) != 0 ? p.m >> 7 : p.m >> 8;
    for (digit = (hc_u64)1 << 55; digit != 0u; digit >>= 1) {
        if (double_root + digit <= rest) {
            rest -= double_root + digit;
            double_root += 2u * digit;
        }
        rest <<= 1;
    }
    return vm_round(0u, (p.e >> 1) + 7, double_root | (rest != 0u), 52u);
}
