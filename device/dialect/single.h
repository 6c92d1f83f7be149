/* Every work-item is a subgroup by itself: the end of the dialects in which lanes cannot be told apart, or need not be. */
#define HC_LANES 1

typedef hc_u32 hc_mask;
#define hc_active_mask() 1u
#define hc_mask_low(m) (m)
#define hc_mask_high(m) 0u
#define hc_lane() 0u
#define hc_is_leader(m) 1
#define hc_rank(m) 0u
#define hc_count(m) 1u
#define hc_broadcast(m, v) (v)
#define hc_ballot(m, x) ((x) ? 1u : 0u)
#define hc_any(m, x) (x)
#define hc_sync(m) ((void)0)
#define hc_subgroup_index() \
    (((hc_group_id_in(2) * hc_group_count_in(1) + hc_group_id_in(1)) * hc_group_count_in(0) + hc_group_id_in(0)) * \
         (hc_group_size_in(0) * hc_group_size_in(1) * hc_group_size_in(2)) + \
     (hc_local_id_in(2) * hc_group_size_in(1) + hc_local_id_in(1)) * hc_group_size_in(0) + hc_local_id_in(0))
