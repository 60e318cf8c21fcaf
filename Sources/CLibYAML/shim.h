// libyaml's parser as a table filled by dlopen.
//
// Nothing here links libyaml, as nothing links zlib (Sources/CZlib): only who runs models needs it, and `wattle run` starts without it.
#ifndef WATTLE_CLIBYAML_SHIM_H
#define WATTLE_CLIBYAML_SHIM_H

#include <dlfcn.h>
#include <stddef.h>
#include <yaml.h>

struct wattle_yaml {
    __typeof__(&yaml_parser_initialize) parser_initialize;
    __typeof__(&yaml_parser_delete) parser_delete;
    __typeof__(&yaml_parser_set_input_string) parser_set_input_string;
    __typeof__(&yaml_parser_parse) parser_parse;
    __typeof__(&yaml_event_delete) event_delete;
};

/// Opens libyaml and fills the table. Returns NULL on success, else a message that is valid until the next dl call of the thread.
static inline const char *wattle_yaml_load(struct wattle_yaml *table) {
    void *library = dlopen("libyaml-0.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!library) library = dlopen("libyaml.so", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *message = dlerror();
        return message ? message : "libyaml-0.so.2 cannot be opened";
    }
#define WATTLE_YAML_SYMBOL(field)                                           \
    do {                                                                    \
        *(void **)&table->field = dlsym(library, "yaml_" #field);           \
        if (!table->field) return "libyaml lacks yaml_" #field;             \
    } while (0)
    WATTLE_YAML_SYMBOL(parser_initialize);
    WATTLE_YAML_SYMBOL(parser_delete);
    WATTLE_YAML_SYMBOL(parser_set_input_string);
    WATTLE_YAML_SYMBOL(parser_parse);
    WATTLE_YAML_SYMBOL(event_delete);
#undef WATTLE_YAML_SYMBOL
    return NULL;
}

#endif
