// A stand-in for NVIDIA's management library, for machines without a GPU: the same functions, of GPUs that a text file describes.
//
// The file is the library's own path with ".state" behind it, and is read anew at each call, so that a test can change the GPUs while
// they are measured. Lines of a key and a value:
//
//     driver 1              which loading of the driver this is; 0: not loaded. What was opened before another one has no more use.
//     gpus 2
//     init 999              what nvmlInit_v2 returns
//     0.uuid GPU-...        and name, of GPU 0
//     0.energy_mj 5000      power_mw, limit_mw, limit_max_mw, mig; a key that is absent is not supported
//     0.energy_status 15    what the call for it returns; handle_status, power_status likewise
//     0.hang_ms 300         how long the calls for energy and power take
//     0.use 12:40:1000,13:20:2000    pid : percent of multiprocessors : µs since 1970
//     0.running 12:4096,13:max       pid : bytes of memory
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, NOT_LOADED = 9 };

struct use {
    uint32_t pid;
    uint64_t time;
    uint32_t sm, memory, encoder, decoder;
};

struct running {
    uint32_t pid;
    uint64_t memory;
    uint32_t gpu_instance, compute_instance;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int openings;
static long opened_driver;

// The value of a key; false where it is absent.
static bool value(const char *key, char *into, size_t size) {
    Dl_info info;
    char path[4096];
    if (!dladdr((void *)value, &info)) return false;
    snprintf(path, sizeof path, "%s.state", info.dli_fname);
    FILE *file = fopen(path, "re");
    if (!file) return false;
    char line[4096];
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *space = strchr(line, ' ');
        if (!space) continue;
        *space = 0;
        if (strcmp(line, key) == 0) {
            snprintf(into, size, "%s", space + 1);
            found = true;
        }
    }
    fclose(file);
    return found;
}

static bool number(const char *key, uint64_t *into) {
    char text[64];
    if (!value(key, text, sizeof text)) return false;
    *into = strtoull(text, NULL, 10);
    return true;
}

static uint64_t number_or(const char *key, uint64_t standard) {
    uint64_t found = standard;
    number(key, &found);
    return found;
}

// A key of a GPU. Devices are their numbers and one more.
static const char *of(uintptr_t device, const char *key, char *into, size_t size) {
    snprintf(into, size, "%lu.%s", (unsigned long)(device - 1), key);
    return into;
}

static int begin(void) {
    pthread_mutex_lock(&lock);
    int code = openings == 0 ? UNINITIALIZED : (long)number_or("driver", 1) == opened_driver ? SUCCESS : UNINITIALIZED;
    pthread_mutex_unlock(&lock);
    return code;
}

static int begin_at(uintptr_t device, const char *status, bool may_hang) {
    char key[64];
    int code = begin();
    if (code) return code;
    if (device == 0 || device > number_or("gpus", 0)) return INVALID_ARGUMENT;
    uint64_t pause = may_hang ? number_or(of(device, "hang_ms", key, sizeof key), 0) : 0;
    struct timespec time = {(time_t)(pause / 1000), (long)(pause % 1000) * 1000000};
    if (pause) nanosleep(&time, NULL);
    return status ? (int)number_or(of(device, status, key, sizeof key), 0) : 0;
}

static int narrow(uintptr_t device, const char *name, uint32_t *into) {
    char key[64];
    uint64_t found;
    int code = begin_at(device, NULL, false);
    if (code) return code;
    if (!number(of(device, name, key, sizeof key), &found)) return NOT_SUPPORTED;
    *into = (uint32_t)found;
    return SUCCESS;
}

static int text(uintptr_t device, const char *name, char *into, uint32_t size) {
    char key[64];
    int code = begin_at(device, NULL, false);
    if (code) return code;
    return value(of(device, name, key, sizeof key), into, size) ? SUCCESS : NOT_SUPPORTED;
}

int nvmlInit_v2(void) {
    int code = (int)number_or("init", 0);
    if (code) return code;
    struct timespec time = {0, (long)number_or("init_ms", 0) * 1000000};
    nanosleep(&time, NULL);
    long driver = (long)number_or("driver", 1);
    if (driver == 0) return NOT_LOADED;
    pthread_mutex_lock(&lock);
    // As with the real one, only the first opening looks at the driver.
    if (openings++ == 0) opened_driver = driver;
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

int nvmlShutdown(void) {
    pthread_mutex_lock(&lock);
    int code = openings > 0 ? SUCCESS : UNINITIALIZED;
    if (openings > 0) openings--;
    pthread_mutex_unlock(&lock);
    return code;
}

// Not NVML's: how many have opened the library and not shut it down.
int fake_nvml_openings(void) {
    pthread_mutex_lock(&lock);
    int count = openings;
    pthread_mutex_unlock(&lock);
    return count;
}

int nvmlDeviceGetCount_v2(uint32_t *count) {
    int code = begin();
    if (code) return code;
    *count = (uint32_t)number_or("gpus", 0);
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(uint32_t index, uintptr_t *device) {
    int code = begin_at((uintptr_t)index + 1, "handle_status", false);
    if (code) return code;
    *device = (uintptr_t)index + 1;
    return SUCCESS;
}

int nvmlDeviceGetUUID(uintptr_t device, char *into, uint32_t size) { return text(device, "uuid", into, size); }
int nvmlDeviceGetName(uintptr_t device, char *into, uint32_t size) { return text(device, "name", into, size); }

int nvmlDeviceGetTotalEnergyConsumption(uintptr_t device, unsigned long long *millijoules) {
    char key[64];
    uint64_t found;
    int code = begin_at(device, "energy_status", true);
    if (code) return code;
    if (!number(of(device, "energy_mj", key, sizeof key), &found)) return NOT_SUPPORTED;
    *millijoules = found;
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(uintptr_t device, uint32_t *milliwatts) {
    int code = begin_at(device, "power_status", true);
    return code ? code : narrow(device, "power_mw", milliwatts);
}

int nvmlDeviceGetEnforcedPowerLimit(uintptr_t device, uint32_t *milliwatts) { return narrow(device, "limit_mw", milliwatts); }

int nvmlDeviceGetPowerManagementLimitConstraints(uintptr_t device, uint32_t *least, uint32_t *most) {
    *least = 1000;
    return narrow(device, "limit_max_mw", most);
}

int nvmlDeviceGetMigMode(uintptr_t device, uint32_t *current, uint32_t *pending) {
    int code = narrow(device, "mig", current);
    if (!code) *pending = *current;
    return code;
}

int nvmlDeviceGetProcessUtilization(uintptr_t device, struct use *into, uint32_t *count, unsigned long long after) {
    char key[64], list[4096];
    int code = begin_at(device, NULL, false);
    if (code) return code;
    if (!value(of(device, "use", key, sizeof key), list, sizeof list)) return NOT_SUPPORTED;
    // As some drivers do: the room asked for does not depend on what there is.
    if (!into) {
        *count = 100;
        return INSUFFICIENT_SIZE;
    }
    uint32_t found = 0;
    char *rest = list;
    for (char *part; (part = strsep(&rest, ",")) && found < *count;) {
        unsigned long pid, sm;
        unsigned long long time;
        if (sscanf(part, "%lu:%lu:%llu", &pid, &sm, &time) != 3 || time <= after) continue;
        into[found++] = (struct use){.pid = (uint32_t)pid, .time = time, .sm = (uint32_t)sm};
    }
    *count = found;
    return found ? SUCCESS : NOT_FOUND;
}

int nvmlDeviceGetComputeRunningProcesses_v3(uintptr_t device, uint32_t *count, struct running *into) {
    char key[64], list[4096];
    int code = begin_at(device, NULL, false);
    if (code) return code;
    if (!value(of(device, "running", key, sizeof key), list, sizeof list)) return NOT_SUPPORTED;
    uint32_t found = 0;
    char *rest = list;
    for (char *part; (part = strsep(&rest, ","));) {
        char *colon = strchr(part, ':');
        if (!colon) continue;
        if (into && found < *count) {
            uint64_t memory = strcmp(colon + 1, "max") == 0 ? UINT64_MAX : strtoull(colon + 1, NULL, 10);
            into[found] = (struct running){.pid = (uint32_t)strtoul(part, NULL, 10), .memory = memory};
        }
        found++;
    }
    bool fits = into ? found <= *count : found == 0;
    *count = found;
    return fits ? SUCCESS : INSUFFICIENT_SIZE;
}
