/* What a kernel compiled for the host asks of the stand-in, which binds it after loading. */
struct dialtone_item;
struct standin_lanes {
    const struct dialtone_item *(*item)(void);                     /* the one that runs on this thread */
    void (*barrier)(const struct dialtone_item *);                 /* of the group */
    void (*leave)(const struct dialtone_item *);                   /* ends the item */
    void (*pause)(const struct dialtone_item *, unsigned turns);   /* lets others run */
    unsigned long long (*ticks)(void);                             /* of 100 MHz */
    unsigned (*lane)(const struct dialtone_item *, unsigned size); /* of a wave of so many lanes */
    unsigned long long (*active)(const struct dialtone_item *, unsigned size);
    /* All lanes of the mask come here and see what each gives; the lanes for which that is not 0. */
    unsigned long long (*ballot)(const struct dialtone_item *, unsigned size, unsigned long long mask, unsigned value);
    unsigned (*from)(const struct dialtone_item *, unsigned size, unsigned long long mask, unsigned lane, unsigned value);
};
