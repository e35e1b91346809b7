//! `LATENCY` (redis.io/docs/latest/commands/latency-latest): the monitor's spikes, and the histograms per command.

use hdrhistogram::Histogram;

use crate::admin::info::sum;
use crate::admin::{Cx, Flow};
use crate::command::lookup::{Command, Lookup};
use crate::observe::latency::{LatencyMonitor, Sample, Series};
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::route::message::Query;
use crate::shared::lock;

/// Columns of a graph, one per sample.
const GRAPH_COLUMNS: usize = 80;
/// Rows of a graph without its labels.
const GRAPH_ROWS: u64 = 4;

/// `LATENCY LATEST`
///
/// # Errors
/// None.
pub fn latency_latest(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let monitor = lock(&cx.core.shared.latency);
    cx.reply.array(monitor.series().len());
    for (event, series) in monitor.series() {
        let latest = series.samples.back().expect("a series begins with a sample");
        cx.reply.array(4);
        cx.reply.bulk(event);
        cx.reply.int(latest.at_s);
        cx.reply.int(latest.latency_ms as i64);
        cx.reply.int(series.max_ms as i64);
    }
    Ok(Flow::Done)
}

/// `LATENCY HISTORY event`
///
/// # Errors
/// None.
pub fn latency_history(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let monitor = lock(&cx.core.shared.latency);
    let samples = monitor.get(cx.args[2]).map(|series| &series.samples);
    cx.reply.array(samples.map_or(0, |samples| samples.len()));
    for sample in samples.into_iter().flatten() {
        cx.reply.array(2);
        cx.reply.int(sample.at_s);
        cx.reply.int(sample.latency_ms as i64);
    }
    Ok(Flow::Done)
}

/// `LATENCY RESET [event ...]`
///
/// # Errors
/// None.
pub fn latency_reset(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let count = lock(&cx.core.shared.latency).reset(&cx.args[2..]);
    cx.reply.int(count as i64);
    Ok(Flow::Done)
}

/// `LATENCY GRAPH event`
///
/// # Errors
/// If the event has no samples.
pub fn latency_graph(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let now_s = cx.core.now_us / 1_000_000;
    let monitor = lock(&cx.core.shared.latency);
    let named = monitor.series().find(|(event, _)| event.as_bytes().eq_ignore_ascii_case(cx.args[2]));
    let Some((event, series)) = named else {
        let event = String::from_utf8_lossy(cx.args[2]);
        return Err(format!("ERR No samples available for event '{event}'").into());
    };
    cx.reply.verbatim("txt", graph(event, series, now_s));
    Ok(Flow::Done)
}

/// A bar per sample, the latest to the right; below it, read downwards, how long ago that was.
fn graph(event: &str, series: &Series, now_s: i64) -> String {
    let skipped = series.samples.len().saturating_sub(GRAPH_COLUMNS);
    let samples: Vec<Sample> = series.samples.iter().copied().skip(skipped).collect();
    let high = samples.iter().map(|sample| sample.latency_ms).max().unwrap_or(0);
    let low = samples.iter().map(|sample| sample.latency_ms).min().unwrap_or(0);
    let mut text = format!("{event} - high {high} ms, low {low} ms (all time high {} ms)\n", series.max_ms);
    text.push_str(&"-".repeat(GRAPH_COLUMNS));
    text.push('\n');
    for row in (0..GRAPH_ROWS).rev() {
        // A bar fills as many of the rows as its share of the highest one.
        let reaches = |sample: &Sample| sample.latency_ms * GRAPH_ROWS > row * high;
        text.extend(samples.iter().map(|sample| if reaches(sample) { '#' } else { ' ' }));
        text.push('\n');
    }
    text.push('\n');
    let labels: Vec<Vec<char>> =
        samples.iter().map(|sample| ago(now_s - sample.at_s).chars().collect()).collect();
    for row in 0..labels.iter().map(Vec::len).max().unwrap_or(0) {
        text.extend(labels.iter().map(|label| label.get(row).unwrap_or(&' ')));
        text.push('\n');
    }
    text
}

/// A duration in its largest whole unit.
fn ago(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds @ 3_600..86_400 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// `LATENCY DOCTOR`
///
/// # Errors
/// None.
pub fn latency_doctor(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let threshold_ms = cx.core.config.latency_monitor_threshold_ms;
    let text = diagnosis(&lock(&cx.core.shared.latency), threshold_ms, cx.core.now_us / 1_000_000);
    cx.reply.verbatim("txt", text);
    Ok(Flow::Done)
}

fn diagnosis(monitor: &LatencyMonitor, threshold_ms: u64, now_s: i64) -> String {
    if threshold_ms == 0 {
        return "The latency monitor is off. CONFIG SET latency-monitor-threshold <milliseconds> turns it on.\n"
            .to_owned();
    }
    if monitor.series().len() == 0 {
        return format!("No event took {threshold_ms} ms or longer since the last reset.\n");
    }
    let mut text = format!("Events that took {threshold_ms} ms or longer:\n");
    for (number, (event, series)) in monitor.series().enumerate() {
        let count = series.samples.len() as u64;
        let mean = series.samples.iter().map(|sample| sample.latency_ms).sum::<u64>() / count.max(1);
        let span_s = series.samples.back().map_or(0, |last| last.at_s) - series.samples[0].at_s;
        let last_s = now_s - series.samples.back().map_or(now_s, |last| last.at_s);
        text.push_str(&format!(
            "\n{}. {event}: {count} spikes within {}, the last one {} ago; {mean} ms on average, {} ms at worst.\n   {}\n",
            number + 1,
            ago(span_s),
            ago(last_s),
            series.max_ms,
            advice(event),
        ));
    }
    text
}

fn advice(event: &str) -> &'static str {
    match event {
        "command" => "SLOWLOG GET names slow commands; avoid those whose cost grows with the number of keys.",
        "fast-command" => {
            "Commands of constant cost were slow: the machine is likely to be overloaded, to swap, or to run other \
             work on the server's cores."
        }
        "expire-cycle" => {
            "Many keys expire at the same time: spread their times to live, or lower active-expire-effort."
        }
        _ => "SLOWLOG GET and INFO tell more.",
    }
}

/// `LATENCY HISTOGRAM [command ...]`: of the commands named, subcommands of a container included, or of all.
///
/// # Errors
/// None.
pub fn latency_histogram(_: &mut Cx<'_>) -> Result<Flow, Error> {
    Ok(Flow::Ask(Query::Stats, |cx, answers| {
        let stats = sum(answers);
        let shown: Vec<(&Command, &Histogram<u64>)> = chosen(cx.core.lookup, &cx.args[2..])
            .into_iter()
            .filter_map(|command| {
                Some((command, stats.commands[usize::from(command.id.0)].histogram.as_deref()?))
            })
            .collect();
        cx.reply.map(shown.len());
        for (command, histogram) in shown {
            cx.reply.bulk(command.full_name);
            write_distribution(histogram, &mut cx.reply);
        }
        Ok(())
    }))
}

fn chosen<'a>(lookup: &'a Lookup, names: &[&[u8]]) -> Vec<&'a Command> {
    if names.is_empty() {
        return lookup.all().iter().collect();
    }
    let mut commands = Vec::new();
    for command in names.iter().filter_map(|name| lookup.find_full_name(name)) {
        commands.push(command);
        if command.is_container() {
            commands.extend(lookup.subcommands(command));
        }
    }
    commands
}

fn write_distribution(histogram: &Histogram<u64>, reply: &mut Reply<'_>) {
    let buckets = cumulative(histogram);
    reply.map(2);
    reply.bulk("calls");
    reply.int(histogram.len() as i64);
    reply.bulk("histogram_usec");
    reply.map(buckets.len());
    for (usec, count) in buckets {
        reply.int(usec as i64);
        reply.int(count as i64);
    }
}

/// For limits that double from 1024 ns, in microseconds, how many values are not above; limits that add nothing are left
/// out.
fn cumulative(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
    let mut buckets = Vec::new();
    let (mut count, mut limit) = (0, 1024);
    while count < histogram.len() {
        let highest = histogram.highest_equivalent(limit);
        let below = histogram.count_between(0, highest);
        if below > count {
            buckets.push((highest / 1000, below));
        }
        count = below;
        limit *= 2;
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_double_and_accumulate() {
        let mut histogram = Histogram::new_with_bounds(1, 1_000_000_000, 2).unwrap();
        assert_eq!(cumulative(&histogram), []);
        for ns in [1, 1024, 1500, 2000, 30_000, 1_000_000_000] {
            histogram.record(ns).unwrap();
        }
        assert_eq!(cumulative(&histogram), [(1, 2), (2, 4), (33, 5), (1_082_130, 6)]);
    }

    #[test]
    fn graphs_show_bars_and_ages() {
        let mut monitor = LatencyMonitor::default();
        monitor.record("command", 100, 400);
        monitor.record("command", 110, 100);
        let text = graph("command", monitor.get(b"command").unwrap(), 175);
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows[0], "command - high 400 ms, low 100 ms (all time high 400 ms)");
        assert_eq!(rows[2..], ["# ", "# ", "# ", "##", "", "11", "mm"]);
    }

    #[test]
    fn the_doctor_speaks_of_every_event() {
        let mut monitor = LatencyMonitor::default();
        assert!(diagnosis(&monitor, 0, 0).contains("is off"));
        assert!(diagnosis(&monitor, 5, 0).contains("No event took 5 ms"));
        monitor.record("command", 100, 10);
        monitor.record("expire-cycle", 100, 20);
        let text = diagnosis(&monitor, 5, 130);
        assert!(text.contains("1. command: 1 spikes") && text.contains("2. expire-cycle"), "{text}");
    }
}
