// libcurl's types and constants, and its functions as a table filled by dlopen.
//
// Nothing here links libcurl: a program that never makes a request never pays for the thirty libraries behind it
// (docs/decisions/0002-libcurl-is-loaded-when-used.md). Swift cannot call variadic functions, so curl_easy_setopt and its kind
// have one function here per type of argument.
#ifndef WATTLE_CLIBCURL_SHIM_H
#define WATTLE_CLIBCURL_SHIM_H

#define CURL_DISABLE_TYPECHECK 1
#include <curl/curl.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

struct wattle_curl {
    __typeof__(&curl_global_init) global_init;
    __typeof__(&curl_slist_append) slist_append;
    __typeof__(&curl_slist_free_all) slist_free_all;
    __typeof__(&curl_easy_init) easy_init;
    __typeof__(&curl_easy_cleanup) easy_cleanup;
    __typeof__(&curl_easy_strerror) easy_strerror;
    __typeof__(&curl_multi_init) multi_init;
    __typeof__(&curl_multi_cleanup) multi_cleanup;
    __typeof__(&curl_multi_add_handle) multi_add_handle;
    __typeof__(&curl_multi_remove_handle) multi_remove_handle;
    __typeof__(&curl_multi_perform) multi_perform;
    __typeof__(&curl_multi_poll) multi_poll;
    __typeof__(&curl_multi_wakeup) multi_wakeup;
    __typeof__(&curl_multi_info_read) multi_info_read;
    // Variadic, so called through the functions below only.
    void *easy_setopt;
    void *easy_getinfo;
    void *multi_setopt;
};

/// Opens libcurl and fills the table. Returns NULL on success, else a message that is valid until the next dl call of the thread.
static inline const char *wattle_curl_load(struct wattle_curl *table) {
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.so"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *message = dlerror();
        return message ? message : "libcurl.so.4 cannot be opened";
    }
#define WATTLE_CURL_SYMBOL(field, symbol)                                          \
    do {                                                                           \
        *(void **)&table->field = dlsym(library, symbol);                          \
        if (!table->field) return "libcurl is too old: it lacks " symbol;          \
    } while (0)
    WATTLE_CURL_SYMBOL(global_init, "curl_global_init");
    WATTLE_CURL_SYMBOL(slist_append, "curl_slist_append");
    WATTLE_CURL_SYMBOL(slist_free_all, "curl_slist_free_all");
    WATTLE_CURL_SYMBOL(easy_init, "curl_easy_init");
    WATTLE_CURL_SYMBOL(easy_cleanup, "curl_easy_cleanup");
    WATTLE_CURL_SYMBOL(easy_strerror, "curl_easy_strerror");
    WATTLE_CURL_SYMBOL(multi_init, "curl_multi_init");
    WATTLE_CURL_SYMBOL(multi_cleanup, "curl_multi_cleanup");
    WATTLE_CURL_SYMBOL(multi_add_handle, "curl_multi_add_handle");
    WATTLE_CURL_SYMBOL(multi_remove_handle, "curl_multi_remove_handle");
    WATTLE_CURL_SYMBOL(multi_perform, "curl_multi_perform");
    WATTLE_CURL_SYMBOL(multi_poll, "curl_multi_poll");
    WATTLE_CURL_SYMBOL(multi_wakeup, "curl_multi_wakeup");
    WATTLE_CURL_SYMBOL(multi_info_read, "curl_multi_info_read");
    WATTLE_CURL_SYMBOL(easy_setopt, "curl_easy_setopt");
    WATTLE_CURL_SYMBOL(easy_getinfo, "curl_easy_getinfo");
    WATTLE_CURL_SYMBOL(multi_setopt, "curl_multi_setopt");
#undef WATTLE_CURL_SYMBOL
    return NULL;
}

typedef CURLcode (*wattle_curl_easy_setopt_function)(CURL *, CURLoption, ...);
typedef CURLcode (*wattle_curl_easy_getinfo_function)(CURL *, CURLINFO, ...);
typedef CURLMcode (*wattle_curl_multi_setopt_function)(CURLM *, CURLMoption, ...);

typedef size_t (*wattle_curl_data_callback)(char *, size_t, size_t, void *);

static inline CURLcode wattle_curl_set_long(const struct wattle_curl *c, CURL *easy, CURLoption option, long value) {
    return ((wattle_curl_easy_setopt_function)c->easy_setopt)(easy, option, value);
}

static inline CURLcode wattle_curl_set_offset(const struct wattle_curl *c, CURL *easy, CURLoption option, long long value) {
    return ((wattle_curl_easy_setopt_function)c->easy_setopt)(easy, option, (curl_off_t)value);
}

static inline CURLcode wattle_curl_set_string(const struct wattle_curl *c, CURL *easy, CURLoption option, const char *value) {
    return ((wattle_curl_easy_setopt_function)c->easy_setopt)(easy, option, value);
}

static inline CURLcode wattle_curl_set_pointer(const struct wattle_curl *c, CURL *easy, CURLoption option, const void *value) {
    return ((wattle_curl_easy_setopt_function)c->easy_setopt)(easy, option, value);
}

static inline CURLcode wattle_curl_set_list(const struct wattle_curl *c, CURL *easy, CURLoption option, struct curl_slist *value) {
    return ((wattle_curl_easy_setopt_function)c->easy_setopt)(easy, option, value);
}

static inline CURLcode wattle_curl_set_data_callback(
    const struct wattle_curl *c, CURL *easy, CURLoption option, wattle_curl_data_callback callback
) {
    return ((wattle_curl_easy_setopt_function)c->easy_setopt)(easy, option, callback);
}

/// Lets a request go to http and https only, by name (7.85 and later) or by the older bit mask.
static inline CURLcode wattle_curl_allow_http_only(const struct wattle_curl *c, CURL *easy) {
    const int protocols_str = 10318, protocols_mask = 181, http = 1, https = 2;
    CURLcode code = ((wattle_curl_easy_setopt_function)c->easy_setopt)(easy, (CURLoption)protocols_str, "http,https");
    if (code != CURLE_UNKNOWN_OPTION) return code;
    return ((wattle_curl_easy_setopt_function)c->easy_setopt)(easy, (CURLoption)protocols_mask, (long)(http | https));
}

static inline curl_socket_t wattle_curl_open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
    (void)context;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/// Sockets that are not inherited by programs this process starts.
static inline CURLcode wattle_curl_close_sockets_on_exec(const struct wattle_curl *c, CURL *easy) {
    return ((wattle_curl_easy_setopt_function)c->easy_setopt)(easy, CURLOPT_OPENSOCKETFUNCTION, wattle_curl_open_socket);
}

static inline CURLcode wattle_curl_get_response_code(const struct wattle_curl *c, CURL *easy, long *value) {
    return ((wattle_curl_easy_getinfo_function)c->easy_getinfo)(easy, CURLINFO_RESPONSE_CODE, value);
}

static inline CURLMcode wattle_curl_multi_set_long(const struct wattle_curl *c, CURLM *multi, CURLMoption option, long value) {
    return ((wattle_curl_multi_setopt_function)c->multi_setopt)(multi, option, value);
}

/// The result of a finished transfer (a field of a union, which Swift reads awkwardly).
static inline CURLcode wattle_curl_message_result(const CURLMsg *message) { return message->data.result; }

#endif
