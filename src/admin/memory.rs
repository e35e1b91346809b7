//! `MEMORY` (redis.io/docs/latest/commands/memory-stats), apart from `MEMORY USAGE`, which is about a key.

use crate::admin::info::{measure_memory, sum};
use crate::admin::{Cx, Flow};
use crate::base::number::format_f64;
use crate::observe::memory::Memory;
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::route::message::Query;
use crate::runtime::alloc;

/// Below this much memory nothing is worth a diagnosis, in bytes.
const WORTH_A_LOOK: u64 = 5 << 20;

/// `MEMORY STATS`
///
/// # Errors
/// None.
pub fn memory_stats(_: &mut Cx<'_>) -> Result<Flow, Error> {
    Ok(Flow::Ask(Query::Stats, |cx, answers| {
        let stats = sum(answers);
        let memory = measure_memory(cx.core, &stats);
        let start = cx.reply.position();
        let mut fields = Fields { reply: &mut cx.reply, count: 0 };
        fields.int("peak.allocated", memory.peak as i64);
        fields.int("total.allocated", memory.used as i64);
        fields.int("startup.allocated", memory.startup as i64);
        fields.int("replication.backlog", 0);
        fields.int("clients.slaves", 0);
        fields.int("clients.normal", memory.clients as i64);
        fields.int("cluster.links", 0);
        fields.int("aof.buffer", 0);
        fields.int("lua.caches", 0);
        fields.int("functions.caches", 0);
        for (number, db) in stats.dbs.iter().enumerate().filter(|(_, db)| db.keys > 0) {
            fields.name(&format!("db.{number}"));
            fields.reply.map(2);
            fields.reply.bulk("overhead.hashtable.main");
            fields.reply.int(db.table_bytes as i64);
            // Expiries lie in the items.
            fields.reply.bulk("overhead.hashtable.expires");
            fields.reply.int(0);
        }
        fields.int("overhead.db.hashtable.lut", memory.tables as i64);
        fields.int("overhead.db.hashtable.rehashing", 0);
        fields.int("overhead.total", memory.overhead() as i64);
        fields.int("db.dict.rehashing.count", 0);
        fields.int("keys.count", memory.keys as i64);
        fields.int("keys.bytes-per-key", memory.bytes_per_key() as i64);
        fields.int("dataset.bytes", memory.dataset() as i64);
        fields.double("dataset.percentage", memory.dataset_percent());
        fields.double("peak.percentage", memory.peak_percent());
        fields.int("allocator.allocated", memory.used as i64);
        fields.int("allocator.active", memory.resident as i64);
        fields.int("allocator.resident", memory.resident as i64);
        fields.int("allocator.muzzy", 0);
        fields.double("allocator-fragmentation.ratio", memory.fragmentation());
        fields.int("allocator-fragmentation.bytes", memory.fragmentation_bytes());
        fields.double("allocator-rss.ratio", 1.0);
        fields.int("allocator-rss.bytes", 0);
        fields.double("rss-overhead.ratio", 1.0);
        fields.int("rss-overhead.bytes", 0);
        fields.double("fragmentation", memory.fragmentation());
        fields.int("fragmentation.bytes", memory.fragmentation_bytes());
        let count = fields.count;
        cx.reply.prepend(start, |reply| reply.map(count));
        Ok(())
    }))
}

/// The pairs of a map whose length is known at the end.
struct Fields<'a, 'b> {
    reply: &'a mut Reply<'b>,
    count: usize,
}

impl Fields<'_, '_> {
    fn name(&mut self, name: &str) {
        self.count += 1;
        self.reply.bulk(name);
    }

    fn int(&mut self, name: &str, value: i64) {
        self.name(name);
        self.reply.int(value);
    }

    fn double(&mut self, name: &str, value: f64) {
        self.name(name);
        self.reply.double_text(&format_f64(value));
    }
}

/// `MEMORY DOCTOR`
///
/// # Errors
/// None.
pub fn memory_doctor(_: &mut Cx<'_>) -> Result<Flow, Error> {
    Ok(Flow::Ask(Query::Stats, |cx, answers| {
        let stats = sum(answers);
        let memory = measure_memory(cx.core, &stats);
        cx.reply.verbatim("txt", diagnosis(&memory, stats.clients));
        Ok(())
    }))
}

fn diagnosis(memory: &Memory, clients: u64) -> String {
    if memory.used < WORTH_A_LOOK {
        return "The data set is too small to tell anything about its memory.\n".to_owned();
    }
    let mut remarks = Vec::new();
    if memory.used * 3 < memory.peak * 2 {
        remarks.push(
            "Peak: much less is allocated now than at the peak, so the resident size says little. Memory that the \
             allocator keeps from then is used again for new data; MEMORY PURGE gives it back."
                .to_owned(),
        );
    } else if memory.fragmentation() > 1.4 && memory.fragmentation_bytes() > 10 << 20 {
        remarks.push(format!(
            "Fragmentation: the process occupies {:.2} times what is allocated. Values that change their size often \
             leave holes; MEMORY PURGE may help, a restart does.",
            memory.fragmentation()
        ));
    }
    if clients > 0 && memory.clients / clients > 200 << 10 {
        remarks.push(
            "Clients: buffers take more than 200 KB per connection on average. Look for clients that do not read \
             their replies, by CLIENT LIST."
                .to_owned(),
        );
    }
    match remarks.is_empty() {
        true => "No problem with memory was found.\n".to_owned(),
        false => remarks.join("\n\n") + "\n",
    }
}

/// `MEMORY MALLOC-STATS`
///
/// # Errors
/// None.
pub fn memory_malloc_stats(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    cx.reply.verbatim("txt", alloc::report());
    Ok(Flow::Done)
}

/// `MEMORY PURGE`. Every core gives back what its thread does not use.
///
/// # Errors
/// None.
pub fn memory_purge(_: &mut Cx<'_>) -> Result<Flow, Error> {
    Ok(Flow::Ask(Query::Purge, |cx, _| {
        cx.reply.ok();
        Ok(())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doctor_names_what_is_wrong() {
        let healthy = Memory { used: 100 << 20, peak: 100 << 20, resident: 110 << 20, ..Memory::default() };
        assert!(diagnosis(&Memory::default(), 0).contains("too small"));
        assert!(diagnosis(&healthy, 1).contains("No problem"));
        assert!(diagnosis(&Memory { peak: 200 << 20, ..healthy }, 1).contains("Peak"));
        assert!(diagnosis(&Memory { resident: 200 << 20, ..healthy }, 1).contains("Fragmentation"));
        assert!(diagnosis(&Memory { clients: 1 << 20, ..healthy }, 2).contains("Clients"));
    }
}
