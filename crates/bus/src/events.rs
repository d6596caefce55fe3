//! Events into the stream `EVENTS`: sent in order, with acks, from a bounded queue.

use ostler_schemas::pb;

use crate::connection::Bus;

impl Bus {
    /// Queues an event. `id` and `time` are filled in where they are empty; `Nats-Msg-Id` is the
    /// event's id. Sent in order by a task of the connection, again until it is acknowledged; when
    /// the queue (16,384) is full, because the bus was away for long, the oldest is dropped and
    /// counted. Never blocks.
    pub fn emit(&self, event: pb::Event) {
        let _ = event;
        unimplemented!()
    }
}
