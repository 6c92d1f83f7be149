/* The function that an instruction belongs to, 2^32-1 for none. */
DEVICE hc_u32 vm_function(GLOBAL const hc_u64 *image, hc_u64 pc) {
    GLOBAL const hc_u64 *entries = image + image[VM_IMAGE_ENTRIES];
    hc_u32 from = 0u, to = (hc_u32)image[VM_IMAGE_FUNCTIONS];
    while (from < to) {
        const hc_u32 middle = (from + to) / 2u;
        if (entries[middle] <= pc) from = middle + 1u;
        else to = middle;
    }
    return from - 1u;
}

/* Runs instances, one for each work-item. fuel is how many branches one may take before it is another's turn. Between a checkpoint and the next
   an instance changes its memory, so nothing there may make it leave. */
KERNEL(vm_run, GLOBAL const hc_u64 *code, GLOBAL const hc_u64 *image, GLOBAL hc_u64 *state, GLOBAL hc_u8 *memory, hc_u32 fuel) {
    HC_RESUMABLE;
    struct { hc_u32 waits, got; } s;
    const hc_u32 instance = hc_global_id();
    GLOBAL hc_u64 *own = state + (hc_size)instance * (hc_size)image[VM_IMAGE_STATE_WORDS];
    vm_state vm;
    if (instance >= image[VM_IMAGE_INSTANCES]) return;
    if (!HC_RESTORE(s)) s.waits = s.got = 0u;
    if (hc_cancelled() || (own[VM_STATE_TRAP] != 0u && s.waits != VM_WAITS_TRAP)) return;
    vm.memory = memory + (hc_size)instance * (hc_size)image[VM_IMAGE_MEMORY_BYTES];
    vm.bytes = own[VM_STATE_BYTES];
    vm.globals = own + image[VM_IMAGE_GLOBALS];
    vm.trap = 0u;
    for (;;) {
        if (s.waits == VM_WAITS_HOST || s.waits == VM_WAITS_TRAP) {
            GLOBAL const hc_u64 *call = code + 2u * (hc_size)(own[VM_STATE_PC] - 1u);
            GLOBAL hc_u64 *args = own + VM_STATE_ARGS;
            hc_u32 function = 0u, result = 0u, step;
            if (s.waits == VM_WAITS_HOST) {
                args = own + image[VM_IMAGE_FRAMES] + own[VM_STATE_FP] + ((hc_u32)call[0] >> VM_D_SHIFT);
                function = (hc_u32)call[1];
            }
#ifdef VM_TRAPPED
            else function = VM_TRAPPED;
#endif
            step = vm_wasi_step(hc, &vm, function, instance, args, &s.got, &result);
            if (step == VM_STEP_LEAVE) return;
            if (step == VM_STEP_AGAIN) {
                HC_CHECKPOINT(s);
                continue;
            }
            if (s.waits == VM_WAITS_TRAP) return;
            if (step == VM_STEP_OVER) {
                own[VM_STATE_TRAP] = VM_STOP_END;
                return;
            }
            if (call[1] >> 32 != 0u) args[0] = result;
#ifdef HC_RELAUNCH
        } else if (s.waits == VM_WAITS_FUEL) {
            hc_u32 w[1];
            w[0] = 0u;
            if (hc_noop(w) != 0) return;
#endif
        }
        vm_interpret(code, image, own, &vm, fuel);
        s.got = 0u;
        if (vm.trap == VM_STOP_HOST) {
            s.waits = VM_WAITS_HOST;
        } else if (vm.trap == VM_STOP_FUEL) {
#ifdef HC_RELAUNCH
            s.waits = VM_WAITS_FUEL;
#else
            s.waits = VM_WAITS_NOT;
            if (hc_cancelled()) return;
            continue;
#endif
        } else {
            own[VM_STATE_TRAP] = vm.trap;
#ifdef VM_TRAPPED
            if (vm.trap == VM_STOP_END) return;
            own[VM_STATE_ARGS] = vm.trap;
            own[VM_STATE_ARGS + 1u] = vm_function(image, own[VM_STATE_PC] - 1u);
            own[VM_STATE_ARGS + 2u] = own[VM_STATE_PC] - 1u;
            s.waits = VM_WAITS_TRAP;
#else
            return;
#endif
        }
        HC_CHECKPOINT(s);
    }
}
