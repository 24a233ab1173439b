/* bounds.h - every protocol limit and timeout on one page, each with its reason. Spec: PROTO 9.
 *
 * Derived sizes are derived, not typed again. A limit changed here changes everywhere, the simulator's checks included.
 */
#ifndef TALLYMESH_CRYPTO_BOUNDS_H
#define TALLYMESH_CRYPTO_BOUNDS_H

/* ---- frames ---- */
enum {
    FRAME_BYTES_MAX = 64 * 1024,           /* one ZeroMQ frame; libzmq's MAXMSGSIZE is this */
    CONTROL_BODY_BYTES_MAX = 8 * 1024,     /* every message but PROMPT, HEADER_PART */
    FRAME_OVERHEAD_BYTES_MAX = 32,         /* array head, version, type, request, hop, age, bin head */
    DATA_BODY_BYTES_MAX = FRAME_BYTES_MAX - FRAME_OVERHEAD_BYTES_MAX,
};

/* ---- identity ---- */
#define POW_BITS_PUBLIC 22                 /* about 1.2 s of one core per identity; verify 0.3 us. Macros: help and defaults print them */
#define POW_BITS_TESTNET 8                 /* instantly, but the code path is the same; testnet/up.sh reads it here */
#define POW_BITS_MAX 40                    /* a configuration that asks for more is a mistake: four days of one core */
enum {
    CLOCK_SKEW_MS_MAX = 10 * 60 * 1000,    /* wall clocks are only ever a sanity bound */
};

/* ---- links and peers ---- */
enum {
    PEERS_MAX = 256,                       /* authenticated peers at once; fifty-node testnets see 49 */
    PEERS_PENDING_MAX = 64,                /* links that have not said HELLO yet */
    HELLO_TIMEOUT_MS = 5000,
    PING_INTERVAL_MS = 15 * 1000,          /* keeps NAT mappings (20-25 s) alive as well */
    PING_MISSES_MAX = 3,                   /* loss is not death */
    PEER_BYTES_PER_S = 2 * 1024 * 1024, PEER_BYTES_BURST = 4 * 1024 * 1024,
    PEER_MSGS_PER_S = 4000, PEER_MSGS_BURST = 16000,  /* dozens of streams to one requester, a chunk per millisecond each */
    MUTE_MS = 10 * 60 * 1000,              /* how long a misbehaving transport key is refused */
};

/* ---- overlay ---- */
enum {
    BUCKET_SLOTS = 16, BUCKET_SPARES = 4, BUCKETS = 256,
    LOOKUP_ALPHA = 3, LOOKUP_WIDTH = 16, LOOKUPS_MAX = 16,
    LOOKUP_RPC_TIMEOUT_MS = 1500,
    RECORD_BYTES_MAX = 640, ADVERT_BYTES_MAX = 1024,
    RECORD_TTL_MS = 2 * 60 * 60 * 1000, RECORD_REFRESH_MS = 60 * 60 * 1000,
    ADVERT_TTL_MS = 15 * 60 * 1000, ADVERT_REFRESH_MS = 5 * 60 * 1000,
    STORE_REPLICAS = 16,                   /* nodes closest to a key that hold it */
    RECORDS_MAX = 2048, RECORDS_PER_AUTHOR_MAX = 64,
    ADVERTS_PER_REPLY_MAX = 7,             /* 7 x 1 KiB fits a control body */
    CONTACTS_PER_REPLY_MAX = 10,           /* 10 x 640 B fits a control body */
};

/* ---- gossip ---- */
enum {
    GOSSIP_HOPS_MAX = 10, GOSSIP_AGE_MS_MAX = 30 * 1000,
    GOSSIP_BYTES_MAX = 1024,               /* an offer; anything larger is fetched by hash */
    GOSSIP_SEEN_MAX = 8192, GOSSIP_SEEN_MS = 2 * 60 * 1000,
    GOSSIP_ORIGIN_PER_10S = 20, GOSSIP_ORIGIN_BURST = 20, GOSSIP_ORIGINS_MAX = 1024,
    GOSSIP_FANOUT = 8,                     /* peers that get the message itself; e^-8 of the mesh would miss it */
    GOSSIP_LAZY = 6,                       /* further peers that get its name: all of them would cost peers^2 frames */
};

/* ---- market and jobs ---- */
enum {
    CLAIM_TOKENS = 32,                     /* a claim and a digest cover the same 32 tokens */
    WINDOW_TOKENS = 96,                    /* exposure: a provider never runs further ahead of a co-signed claim */
    PRICE_MAX = 1000 * 1000 * 1000,        /* micro-credits per million tokens, 1000 credits; keeps products inside u64 */
    OFFER_PROVIDERS_MAX = 4,               /* asked directly */
    BIDS_MAX = 16,                         /* kept per offer */
    BID_WINDOW_MS = 2000,                  /* no acceptable bid by then: the offer failed */
    BID_GRACE_MS = 4,                      /* interactive: after the first acceptable bid, wait this long for a better one */
    BID_GRACE_CHEAPER_MS = 50,             /* the same while somebody who advertises a lower price is silent */
    BID_GRACE_BATCH_MS = 150,
    RESERVATION_MS = 2000,
    BID_LAST_RESORT_MS = RESERVATION_MS / 2,  /* only providers that failed lately have bid: wait so long for another, while theirs hold */
    QUEUE_MS_MAX = 20 * 1000,              /* everybody who could is busy: offered again until then */
    QUEUE_RETRY_MS_MIN = 20, QUEUE_RETRY_MS_MAX = 500,
    TOKEN_DEADLINE_MS = 10 * 1000,         /* no token for this long: the provider is taken for dead */
    JOBS_MAX = 64,                         /* open jobs per side and node */
    UNPAID_JOBS_MAX = JOBS_MAX,            /* begun and not signed for, by one requester: as many as may be open at all */
    UNPAID_PAUSE_MS = 10 * 1000,           /* one of these places is free again: 8640 jobs for nothing a day */
    UNPAID_NEWCOMERS_MAX = 4 * JOBS_MAX,   /* the same for all newcomers together */
    UNPAID_NEWCOMERS_PAUSE_MS = 1000,      /* 86400 a day, however many keys; about 1.5 KB each until they are forgotten */
    ATTEMPTS_MAX = 5,                      /* providers tried for one request */
    STOP_IDS_MAX = 16,
    CHUNK_TOKENS_MAX = 256,                /* coalesced only under load */
    CHUNK_PAUSE_MS = 2,                    /* per job running for the same requester: its chunks stay far below PEER_MSGS_PER_S */
    PROMPT_TOKENS_MAX = 12000,             /* 5 bytes each in one PROMPT frame */
    OUTPUT_TOKENS_MAX = 65536,
};

/* ---- model headers ---- */
enum {
    HEADER_PART_BYTES = 32 * 1024,
    HEADER_BYTES_MAX = 32 * 1024 * 1024,   /* a 256k-token vocabulary with merges is about 10 MiB */
};

/* ---- ledger ---- */
enum {
    TERMS_BYTES_MAX = 640, CLAIM_BYTES_MAX = 320, RECEIPT_BODY_BYTES_MAX = 512, NOTE_BYTES_MAX = 192,
    BUNDLE_BYTES_MAX = 16 * 1024 * 1024,
    UNSIGNED_KEEP_MS = 24 * 60 * 60 * 1000,  /* what was delivered and never signed for counts as credit for so long: the most that
                                            * a requester, or all newcomers together, can take is their limit once a day */
    IDLE_KEEP_MS = 24 * 60 * 60 * 1000,    /* a job that came to nothing is shown for so long, then forgotten */
    PINS_MAX = 1024,                       /* names of models that clients of this node have used */
    IDLE_JOBS_MAX = 4096,                  /* and so many of them: about 6 MiB, whoever makes them */
};

#endif
