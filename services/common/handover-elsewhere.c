/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A service that was moved to another domain, and is started here by the bus, as its activation file is still here.
 *
 * A call waits for its name. Where the state is now, the service may only have to be started too: the bridge is asked to, as it would be for a name
 * that this domain cannot start itself. Then the name is there, by the bridge's doing, and the bus delivers the call. The program ends with status 0,
 * which to the bus says that somebody else sees to the name.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "handover-private.h"
#include "log.h"
#include "service-private.h"

#define START_USEC UINT64_C(20000000)   /* less than the bus waits for the name */

int handover_start_elsewhere(struct service *service) {
        AUTO(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        AUTO(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        if (!secure_getenv("DBUS_STARTER_ADDRESS"))
                return -EHOSTUNREACH;           /* somebody wants it here, and is to hear why it is not */
        r = service_connect(service, &bus);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus, START_USEC);
        if (r >= 0)
                r = sd_bus_call_method(bus, "org.xen.xcp.bridge", "/org/xen/xcp/bridge", "org.xen.xcp.bridge1.Manager", "StartService", &error,
                                       NULL, "s", service->bus_name);
        if (r < 0) {
                log_event(LOG_WARNING, NULL, "%s cannot be started where it was moved to: %s", service->bus_name,
                          error.message ? error.message : strerrordesc_np(-r));
                return r;
        }
        log_event(LOG_INFO, NULL, "%s was started where it was moved to", service->bus_name);
        return 0;
}
