// zlib's types and constants, and the functions used of it as a table filled by dlopen.
//
// Nothing here links zlib, for the reason that libcurl is not linked (docs/decisions/0002-libcurl-is-loaded-when-used.md): an agent
// without a collector compresses nothing. One with a collector has zlib mapped already, since libcurl needs it.
#ifndef WATTLE_CZLIB_SHIM_H
#define WATTLE_CZLIB_SHIM_H

#include <dlfcn.h>
#include <stddef.h>
#include <zlib.h>

struct wattle_zlib {
    __typeof__(&deflateInit2_) deflate_init;
    __typeof__(&deflateBound) deflate_bound;
    __typeof__(&deflate) deflate;
    __typeof__(&deflateEnd) deflate_end;
    __typeof__(&inflateInit2_) inflate_init;
    __typeof__(&inflate) inflate;
    __typeof__(&inflateEnd) inflate_end;
};

/// Opens zlib and fills the table. Returns NULL on success, else a message that is valid until the next dl call of the thread.
static inline const char *wattle_zlib_load(struct wattle_zlib *table) {
    void *library = dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) library = dlopen("libz.so", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *message = dlerror();
        return message ? message : "libz.so.1 cannot be opened";
    }
#define WATTLE_ZLIB_SYMBOL(field, symbol)                                   \
    do {                                                                    \
        *(void **)&table->field = dlsym(library, symbol);                   \
        if (!table->field) return "zlib lacks " symbol;                     \
    } while (0)
    WATTLE_ZLIB_SYMBOL(deflate_init, "deflateInit2_");
    WATTLE_ZLIB_SYMBOL(deflate_bound, "deflateBound");
    WATTLE_ZLIB_SYMBOL(deflate, "deflate");
    WATTLE_ZLIB_SYMBOL(deflate_end, "deflateEnd");
    WATTLE_ZLIB_SYMBOL(inflate_init, "inflateInit2_");
    WATTLE_ZLIB_SYMBOL(inflate, "inflate");
    WATTLE_ZLIB_SYMBOL(inflate_end, "inflateEnd");
#undef WATTLE_ZLIB_SYMBOL
    return NULL;
}

// deflateInit2 and inflateInit2 are macros, which Swift does not see. 16 added to the window's bits asks for gzip's wrapping.

static inline int wattle_zlib_begin_gzip(const struct wattle_zlib *z, z_stream *stream, int level, int window_bits, int memory_level) {
    return z->deflate_init(
        stream, level, Z_DEFLATED, window_bits + 16, memory_level, Z_DEFAULT_STRATEGY, ZLIB_VERSION, (int)sizeof(z_stream)
    );
}

static inline int wattle_zlib_begin_gunzip(const struct wattle_zlib *z, z_stream *stream) {
    return z->inflate_init(stream, 15 + 16, ZLIB_VERSION, (int)sizeof(z_stream));
}

#endif
