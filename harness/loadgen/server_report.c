/* What a server says at the end: its threads' counts, added up. */
#include "events.h"
#include "launch.h"
#include "server.h"

static void event_threads(const struct server *servers, int64_t count)
{
    event_int("threads", count);
    event_array("thread_requests");
    for (int64_t i = 0; i < count; i++)
        event_int(NULL, servers[i].requests);
    event_array_end();
    event_array("thread_napis");
    for (int64_t i = 0; i < count; i++)
        event_int(NULL, (int64_t)servers[i].napi_ids.count);
    event_array_end();
    event_array("thread_usage");
    for (int64_t i = 0; i < count; i++) {
        event_object(NULL);
        usage_members(servers[i].usage);
        event_object_end();
    }
    event_array_end();
}

static void add_batched(struct batched *total, const struct batched *one)
{
    total->receive_calls += one->receive_calls;
    total->received += one->received;
    total->send_calls += one->send_calls;
    total->sent += one->sent;
    if (one->most > total->most)
        total->most = one->most;
}

static void event_batched(const struct batched *batched)
{
    event_object("batch");
    event_int("receive_calls", batched->receive_calls);
    event_int("received", batched->received);
    event_int("most", batched->most);
    event_int("send_calls", batched->send_calls);
    event_int("sent", batched->sent);
    event_object_end();
}

static void event_multishot(const struct multishot *multishot)
{
    event_object("multishot");
    event_int("armed", multishot->armed);
    event_int("receives", multishot->receives);
    event_int("more", multishot->more);
    event_object_end();
}

static void event_zerocopy(const struct server *servers, int64_t count)
{
    struct zerocopy total = {0};

    for (int64_t i = 0; i < count; i++) {
        total.sends += servers[i].zerocopy->sends;
        total.completed += servers[i].zerocopy->completed;
        total.copied += servers[i].zerocopy->copied;
    }
    event_object("zerocopy");
    event_int("sends", total.sends);
    event_int("completed", total.completed);
    event_int("copied", total.copied);
    event_object_end();
}

/* The options are those of the socket accepted last, by whichever thread. */
static struct server add_up(const struct server *servers, int64_t count)
{
    struct server total = servers[0];

    for (int64_t i = 1; i < count; i++) {
        total.requests += servers[i].requests;
        total.bytes += servers[i].bytes;
        total.connections += servers[i].connections;
        total.service_ns += servers[i].service_ns;
        total.send_errors += servers[i].send_errors;
        total.malformed += servers[i].malformed;
        total.waits.returns += servers[i].waits.returns;
        total.waits.empty += servers[i].waits.empty;
        total.multishot.armed += servers[i].multishot.armed;
        total.multishot.receives += servers[i].multishot.receives;
        total.multishot.more += servers[i].multishot.more;
        add_batched(&total.batched, &servers[i].batched);
        napi_ids_merge(&total.napi_ids, &servers[i].napi_ids);
        if (servers[i].connections > 0)
            total.options = servers[i].options;
    }
    return total;
}

void server_report(const struct server *servers, const struct server_plan *plan)
{
    const struct server total = add_up(servers, plan->threads);

    event_begin("result");
    event_int("requests", total.requests);
    event_int("bytes", total.bytes);
    event_int("connections", total.connections);
    event_int("send_errors", total.send_errors);
    event_int("malformed", total.malformed);
    event_int("waits", total.waits.returns);
    event_int("empty_waits", total.waits.empty);
    if (plan->batch > 0)
        event_batched(&total.batched);
    if (plan->multishot)
        event_multishot(&total.multishot);
    if (plan->zerocopy)
        event_zerocopy(servers, plan->threads);
    napi_ids_event(&total.napi_ids);
    event_threads(servers, plan->threads);
    service_event(&plan->service, total.service_ns);
    usage_event(usage_now());
    event_object("readback");
    sockopts_event(total.options, total.epoll);
    launch_readback();
    event_object_end();
    xsk_event(total.xsk);
    event_end();
}
