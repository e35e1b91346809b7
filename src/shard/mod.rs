//! One core's keys.
