/* What kernels and the cpu backend's runtime share. A kernel module holds one pointer to the
   runtime's functions, set after loading. */
struct dialtone_item {
    unsigned int group_id[3], local_id[3], group_size[3], group_count[3];
};

struct dialtone_cpu {
    void (*barrier)(const struct dialtone_item *); /* waits for the other work-items of the group */
    void (*leave)(const struct dialtone_item *);   /* ends the calling work-item */
    void (*pause)(const struct dialtone_item *, unsigned int turns); /* lets others run; turns: how often in a row */
    unsigned long long (*clock)(void);             /* CLOCK_MONOTONIC, ns */
};
