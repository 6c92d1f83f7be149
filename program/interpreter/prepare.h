/* Makes the instances: the groups take turns with the chunks of all memories and with the states. */
KERNEL(vm_prepare, GLOBAL const hc_u64 *image, GLOBAL hc_u64 *state, GLOBAL hc_u64 *memory) {
    const hc_u64 chunks = image[VM_IMAGE_CHUNK_COUNT], units = image[VM_IMAGE_INSTANCES] * (chunks + 1u);
    hc_u64 unit, i;
    for (unit = hc_group_id(); unit < units; unit += hc_group_count()) {
        const hc_u64 instance = unit / (chunks + 1u), chunk = unit % (chunks + 1u);
        if (chunk == chunks) {
            GLOBAL hc_u64 *to = state + instance * image[VM_IMAGE_STATE_WORDS];
            GLOBAL const hc_u64 *from = image + image[VM_IMAGE_TEMPLATE];
            for (i = hc_local_id(); i < image[VM_IMAGE_TEMPLATE_WORDS]; i += hc_group_size()) to[i] = from[i];
        } else {
            GLOBAL hc_u64 *to = memory + instance * (image[VM_IMAGE_MEMORY_BYTES] / 8u) + chunk * VM_CHUNK_WORDS;
            const hc_u64 from = image[image[VM_IMAGE_CHUNKS] + chunk];
            for (i = hc_local_id(); i < VM_CHUNK_WORDS; i += hc_group_size()) to[i] = from == 0u ? 0u : image[from + i];
        }
    }
}
