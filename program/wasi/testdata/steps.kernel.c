/* Each work-item is an instance that makes the calls of its script: a call's number and nine parameters. */
#define STEP_WORDS 10u
KERNEL(steps, GLOBAL hc_u8 *memory, hc_u64 bytes, GLOBAL hc_u64 *script, hc_u32 count, GLOBAL hc_u32 *results) {
    HC_RESUMABLE;
    struct { hc_u32 at, got; } s;
    const hc_u32 instance = hc_global_id();
    vm_state vm;
    vm.memory = memory + (hc_u64)instance * bytes;
    vm.bytes = bytes;
    vm.trap = 0u;
    if (!HC_RESTORE(s)) s.at = s.got = 0u;
    while (s.at < count) {
        const hc_u32 i = instance * count + s.at;
        GLOBAL hc_u64 *step = script + (hc_size)i * STEP_WORDS;
        hc_u32 result, r;
        if (hc_cancelled()) return;
        r = vm_wasi_step(hc, &vm, (hc_u32)step[0], instance, step + 1, &s.got, &result);
        if (r == 2u) return;
        if (r == 3u) {
            results[i] = 0x80000000u;
            s.at = count;
        } else if (r == 0u) {
            results[i] = result;
            s.at++;
            s.got = 0u;
        }
        HC_CHECKPOINT(s);
    }
}
