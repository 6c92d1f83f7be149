/* Waves of fibers: every 32 or 64 items of a group are one, and all of them belong to one thread, so nothing here needs an atomic.

   The hardware's lanes run in lockstep; these do not. What the kernel library may not rely on is drawn at random: which of
   the lanes that could have been together at active() were, and who goes first. What it may rely on is awaited: all
   lanes of a mask take part in each step with that mask; if one does not, the kernel hangs. */
#include <string.h>

#include "lanes.h"

typedef unsigned long long ull;

struct wave {
    ull waiting, arrived, released; /* lanes */
    ull begun;                      /* those that were somewhere before, of the group below */
    unsigned group[3];
    ull given[64];
    unsigned value[64], seen[64][64];
};
static __thread struct wave waves[32];
static __thread unsigned dice;

static unsigned throw_dice(void) {
    if (dice == 0) dice = (unsigned)clock_ns() | 1;
    dice = dice * 1664525u + 1013904223u;
    return dice >> 16;
}
static unsigned linear(const struct dialtone_item *i) {
    return (i->local_id[2] * i->group_size[1] + i->local_id[1]) * i->group_size[0] + i->local_id[0];
}
static unsigned wave_lane(const struct dialtone_item *i, unsigned size) { return linear(i) % size; }

static ull wave_active(const struct dialtone_item *i, unsigned size) {
    struct wave *w = &waves[linear(i) / size];
    const unsigned lane = linear(i) % size, luck = throw_dice() % 16;
    const ull me = (ull)1 << lane;
    const int first = memcmp(w->group, i->group_id, sizeof w->group) || !(w->begun & me); /* a wave begins with all of its lanes */
    /* Mostly long enough for every lane that is about to come. */
    const unsigned patience = first || luck >= 3 ? 100 : luck == 0 ? 0 : throw_dice() % 8;
    const unsigned items = i->group_size[0] * i->group_size[1] * i->group_size[2] - linear(i) / size * size;
    const ull all = items < 64 && items < size ? ((ull)1 << items) - 1 : size < 64 ? ((ull)1 << size) - 1 : ~(ull)0;
    unsigned turns, k;
    if (memcmp(w->group, i->group_id, sizeof w->group)) {
        memcpy(w->group, i->group_id, sizeof w->group);
        w->begun = 0;
    }
    w->begun |= me;
    w->given[lane] = 0;
    w->waiting |= me;
    for (turns = 0; w->given[lane] == 0; turns++) {
        ull m;
        if (turns < patience && w->waiting != all) {
            item_pause(i, 1);
            continue;
        }
        m = w->waiting;
        if (!first && throw_dice() % 8 == 0) m &= ((ull)throw_dice() << 48 | (ull)throw_dice() << 32 | (ull)throw_dice() << 16 | throw_dice()) | me;
        w->waiting &= ~m;
        for (k = 0; k < size; k++)
            if (m >> k & 1) w->given[k] = m;
    }
    return w->given[lane];
}

static const unsigned *wave_meet(const struct dialtone_item *i, unsigned size, ull m, unsigned v) {
    struct wave *w = &waves[linear(i) / size];
    const unsigned lane = linear(i) % size;
    const ull me = (ull)1 << lane;
    unsigned k;
    if (!(m & me)) __builtin_trap(); /* a lane takes part for which the mask does not stand */
    w->value[lane] = v;
    w->arrived |= me;
    if ((w->arrived & m) == m) {
        for (k = 0; k < size; k++)
            if (m >> k & 1) memcpy(w->seen[k], w->value, sizeof w->value);
        w->arrived &= ~m;
        w->released |= m;
    }
    while (!(w->released & me)) item_pause(i, 1);
    w->released &= ~me;
    if (throw_dice() % 8 == 0) item_pause(i, 1);
    return w->seen[lane];
}
static ull wave_ballot(const struct dialtone_item *i, unsigned size, ull m, unsigned v) {
    const unsigned *seen = wave_meet(i, size, m, v);
    ull yes = 0;
    unsigned k;
    for (k = 0; k < size; k++)
        if (m >> k & 1 && seen[k]) yes |= (ull)1 << k;
    return yes;
}
static unsigned wave_from(const struct dialtone_item *i, unsigned size, ull m, unsigned lane, unsigned v) {
    if (!(m >> lane & 1)) __builtin_trap(); /* a lane that gives nothing */
    return wave_meet(i, size, m, v)[lane];
}

/* The item that the calling thread runs. */
static const struct dialtone_item *current_item(void) { return &((struct worker *)pthread_getspecific(worker_key))->current->item; }
static unsigned long long ticks(void) { return clock_ns() / 10; }

static const struct standin_lanes lanes = {current_item, item_barrier, item_leave, item_pause, ticks, wave_lane, wave_active, wave_ballot, wave_from};
