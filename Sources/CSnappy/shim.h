// libsnappy's C functions as a table filled by dlopen.
//
// Nothing here links libsnappy, as nothing links zlib (Sources/CZlib): only collectors that Prometheus writes to need it.
#ifndef WATTLE_CSNAPPY_SHIM_H
#define WATTLE_CSNAPPY_SHIM_H

#include <dlfcn.h>
#include <snappy-c.h>
#include <stddef.h>

struct wattle_snappy {
    __typeof__(&snappy_uncompressed_length) uncompressed_length;
    __typeof__(&snappy_uncompress) uncompress;
    __typeof__(&snappy_max_compressed_length) max_compressed_length;
    __typeof__(&snappy_compress) compress;
};

/// Opens libsnappy and fills the table. Returns NULL on success, else a message that is valid until the next dl call of the thread.
static inline const char *wattle_snappy_load(struct wattle_snappy *table) {
    void *library = dlopen("libsnappy.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) library = dlopen("libsnappy.so", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *message = dlerror();
        return message ? message : "libsnappy.so.1 cannot be opened";
    }
#define WATTLE_SNAPPY_SYMBOL(field)                                         \
    do {                                                                    \
        *(void **)&table->field = dlsym(library, "snappy_" #field);         \
        if (!table->field) return "libsnappy lacks snappy_" #field;         \
    } while (0)
    WATTLE_SNAPPY_SYMBOL(uncompressed_length);
    WATTLE_SNAPPY_SYMBOL(uncompress);
    WATTLE_SNAPPY_SYMBOL(max_compressed_length);
    WATTLE_SNAPPY_SYMBOL(compress);
#undef WATTLE_SNAPPY_SYMBOL
    return NULL;
}

#endif
