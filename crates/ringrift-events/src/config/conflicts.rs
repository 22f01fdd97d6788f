//! Settings that are allowed each by itself and do harm together: what `doctor` says of them.

use std::time::Duration;

use super::settings::Settings;

/// A process may miss this many beats before anybody calls it hung.
const BEATS: u32 = 3;

impl Settings {
    /// What contradicts what, one sentence each, the setting at fault first; empty when all agree.
    #[must_use]
    pub fn conflicts(&self) -> Vec<String> {
        let rules = self.of_beats().into_iter().chain(self.of_others());
        let said = rules.filter(|(is, _)| *is);
        said.map(|(_, words)| words).collect()
    }

    /// What a beat too seldom makes wrong.
    fn of_beats(&self) -> [(bool, String); 3] {
        let beats = self.process.heartbeat * BEATS;
        [
            (
                self.process.hung_after < beats,
                format!(
                    "process.hung_after is {}: less than {BEATS} beats of process.heartbeat ({}), so \
                     a busy process is called hung",
                    text(self.process.hung_after),
                    text(self.process.heartbeat)
                ),
            ),
            (
                self.store.lease < beats,
                format!(
                    "store.lease is {}: less than {BEATS} beats of process.heartbeat ({}), so a busy \
                     process loses what it handles",
                    text(self.store.lease),
                    text(self.process.heartbeat)
                ),
            ),
            (
                self.doctor.unread < beats,
                format!(
                    "doctor.unread is {}: less than {BEATS} beats of process.heartbeat ({}), and only \
                     a beat says how far a poller has read",
                    text(self.doctor.unread),
                    text(self.process.heartbeat)
                ),
            ),
        ]
    }

    fn of_others(&self) -> [(bool, String); 5] {
        let free = self.store.disk_free_min_percent;
        [
            (
                self.record.lock_wait > self.doctor.lock_held,
                format!(
                    "record.lock_wait is {}: more than doctor.lock_held ({}), so a lock that was held \
                     too long may leave no record",
                    text(self.record.lock_wait),
                    text(self.doctor.lock_held)
                ),
            ),
            (
                self.handler.slow > self.handler.time_limit,
                format!(
                    "handler.slow is {}: more than handler.time_limit ({}), so no run is ever slow",
                    text(self.handler.slow),
                    text(self.handler.time_limit)
                ),
            ),
            (
                self.handler.concurrency as usize > self.handler.in_flight_max,
                format!(
                    "handler.concurrency is {}: more than handler.in_flight_max ({}) allows to all \
                     handlers together",
                    self.handler.concurrency, self.handler.in_flight_max
                ),
            ),
            (
                self.retention.deleted > self.retention.orphaned,
                format!(
                    "retention.deleted is {}: more than retention.orphaned ({}), so what is restored \
                     may have expired",
                    text(self.retention.deleted),
                    text(self.retention.orphaned)
                ),
            ),
            (
                self.doctor.disk_free_percent < free,
                format!(
                    "doctor.disk_free_percent is {}: less than store.disk_free_min_percent ({free}), \
                     so publishing stops before anybody is warned",
                    self.doctor.disk_free_percent
                ),
            ),
        ]
    }
}

fn text(duration: Duration) -> String {
    format!("{duration:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A contradiction, and the setting one step before it.
    type Border = (&'static str, fn(&mut Settings), fn(&mut Settings));

    #[test]
    fn each_contradiction_is_said_of_its_setting_and_the_value_before_it_is_none() {
        const ONE: Duration = Duration::from_secs(1);
        const THREE: Duration = Duration::from_secs(3);
        assert_eq!(Settings::default().process.heartbeat, ONE);
        let borders: [Border; 8] = [
            (
                "process.hung_after",
                |set| set.process.hung_after = Duration::from_millis(2_999),
                |set| set.process.hung_after = THREE,
            ),
            (
                "store.lease",
                |set| set.store.lease = Duration::from_millis(2_999),
                |set| set.store.lease = THREE,
            ),
            (
                "doctor.unread",
                |set| set.doctor.unread = Duration::from_millis(2_999),
                |set| set.doctor.unread = THREE,
            ),
            (
                "record.lock_wait",
                |set| set.record.lock_wait = set.doctor.lock_held + ONE,
                |set| set.record.lock_wait = set.doctor.lock_held,
            ),
            (
                "handler.slow",
                |set| set.handler.slow = set.handler.time_limit + Duration::from_millis(1),
                |set| set.handler.slow = set.handler.time_limit,
            ),
            (
                "handler.concurrency",
                |set| set.handler.concurrency = 257,
                |set| set.handler.concurrency = 256,
            ),
            (
                "retention.deleted",
                |set| set.retention.deleted = set.retention.orphaned + ONE,
                |set| set.retention.deleted = set.retention.orphaned,
            ),
            (
                "doctor.disk_free_percent",
                |set| set.doctor.disk_free_percent = 4,
                |set| set.doctor.disk_free_percent = 5,
            ),
        ];
        for (name, contradict, agree) in borders {
            let mut settings = Settings::default();
            contradict(&mut settings);
            let said = settings.conflicts();
            assert_eq!(said.len(), 1, "{name}: {said:?}");
            assert!(said[0].starts_with(&format!("{name} is ")), "{said:?}");
            let mut settings = Settings::default();
            agree(&mut settings);
            assert_eq!(settings.conflicts(), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn the_defaults_agree_and_several_contradictions_are_all_said() {
        assert_eq!(Settings::default().conflicts(), Vec::<String>::new());
        let mut settings = Settings::default();
        settings.process.hung_after = Duration::from_secs(1);
        settings.handler.slow = settings.handler.time_limit * 2;
        let said = settings.conflicts();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("process.hung_after is 1s"), "{said:?}");
        assert!(said[1].starts_with("handler.slow"), "{said:?}");
    }
}
