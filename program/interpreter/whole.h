/* Has the host make a call: a step of its own for each message, and what the last one was. */
DEVICE hc_u32 vm_asked(HC, vm_state *vm, hc_u32 number, GLOBAL hc_u64 *args, hc_u32 *result) {
    hc_u32 got = 0u, step;
    do step = vm_wasi_step(hc, vm, number, hc_global_id(), args, &got, result);
    while (step == VM_STEP_AGAIN);
    return step;
}

/* What is left to do when a program has ended or trapped; nobody looks at an instance of a run that is over. */
HC_NOINLINE void vm_over(vm_state *vm) {
    HC_RECALL(&vm->item);
    GLOBAL hc_u64 *const own = vm->own;
    own[VM_STATE_BYTES] = vm->bytes;
    if (vm->trap == VM_STOP_CANCELLED) return;
    own[VM_STATE_TRAP] = vm->trap == 0u ? VM_STOP_END : vm->trap;
#ifdef VM_TRAPPED
    if (vm->trap != 0u && vm->trap != VM_STOP_END) {
        hc_u32 result;
        own[VM_STATE_ARGS] = vm->trap;
        own[VM_STATE_ARGS + 1u] = vm->function;
        own[VM_STATE_ARGS + 2u] = 0u;
        vm_asked(hc, vm, VM_TRAPPED, own + VM_STATE_ARGS, &result);
    }
#endif
}
DEVICE void vm_host(vm_state *vm, hc_u32 number);
@PROGRAM@

/* A call of the host, at once. */
HC_NOINLINE void vm_host(vm_state *vm, hc_u32 number) {
    HC_RECALL(&vm->item);
    hc_u32 result = 0u;
    const hc_u32 step = vm_asked(hc, vm, number, vm->area, &result);
    if (step == VM_STEP_LEAVE || step == VM_STEP_OVER) {
        vm->trap = step == VM_STEP_LEAVE ? VM_STOP_CANCELLED : VM_STOP_END;
        VM_STOP(vm)
    } else vm->area[0] = result;
}

/* Runs instances of a program that is code of the device, one for each work-item. code and fuel are the interpreter's. */
KERNEL(vm_run, GLOBAL const hc_u64 *code, GLOBAL const hc_u64 *image, GLOBAL hc_u64 *state, GLOBAL hc_u8 *memory, hc_u32 fuel) {
    const hc_u32 instance = hc_global_id();
    GLOBAL hc_u64 *own = state + (hc_size)instance * (hc_size)image[VM_IMAGE_STATE_WORDS];
    vm_state vm;
    if (instance >= image[VM_IMAGE_INSTANCES] || own[VM_STATE_TRAP] != 0u || hc_cancelled()) return;
    vm.memory = memory + (hc_size)instance * (hc_size)image[VM_IMAGE_MEMORY_BYTES];
    vm.bytes = own[VM_STATE_BYTES];
    vm.limit = own[VM_STATE_LIMIT];
    vm.globals = own + image[VM_IMAGE_GLOBALS];
    vm.trap = 0u;
    vm.turns = VM_TURNS;
    vm.area = own + image[VM_IMAGE_FRAMES];
    vm.own = own;
    HC_KEEP(&vm.item);
    vm_program(&vm);
    vm_over(&vm);
}
