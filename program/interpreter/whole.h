/* A call of the host, at once. */
HC_NOINLINE void vm_host(HC, vm_state *vm, hc_u32 number, GLOBAL hc_u64 *area) {
    hc_u32 got = 0u, result = 0u, step;
    do step = vm_wasi_step(hc, vm, number, hc_global_id(), area, &got, &result);
    while (step == VM_STEP_AGAIN);
    if (step == VM_STEP_LEAVE) vm->trap = VM_STOP_CANCELLED;
    else if (step == VM_STEP_OVER) vm->trap = VM_STOP_END;
    else area[0] = result;
}
@PROGRAM@

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
    vm.function = VM_NO_FUNCTION;
    vm.turns = VM_TURNS;
    vm_program(hc, &vm, own + image[VM_IMAGE_FRAMES]);
    own[VM_STATE_BYTES] = vm.bytes;
    if (vm.trap == VM_STOP_CANCELLED) return;
    own[VM_STATE_TRAP] = vm.trap == 0u ? VM_STOP_END : vm.trap;
#ifdef VM_TRAPPED
    if (vm.trap != 0u && vm.trap != VM_STOP_END) {
        own[VM_STATE_ARGS] = vm.trap;
        own[VM_STATE_ARGS + 1u] = vm.function;
        own[VM_STATE_ARGS + 2u] = 0u;
        vm_host(hc, &vm, VM_TRAPPED, own + VM_STATE_ARGS);
    }
#endif
}
