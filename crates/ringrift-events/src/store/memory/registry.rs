//! Processes, their pages, daemons, commands, roles and types.

use super::state::{Life, Member, World};
use crate::clock::Time;
use crate::coded::quoted;
use crate::event::{ProcessId, Seq};
use crate::store::records::Present;
use crate::store::registry::{
    Command, Counters, DaemonState, DeclaredType, Liveness, ProcessIdentity, ProcessState, Recent,
    Running, Slot,
};
use crate::store::{Error, ErrorCode};

/// Running handlers a page has room for.
const SLOTS_MAX: usize = 512;

/// A living process without a beat for this long shows as hung.
const HUNG_AFTER: std::time::Duration = std::time::Duration::from_secs(10);

impl World {
    pub(super) fn join(&mut self, process: ProcessIdentity) {
        let member = Member {
            life: Life::Alive,
            beat_at: self.now,
            lease_from: self.monotonic,
            hung: false,
            counters: Counters::default(),
            polled_to: Seq::START,
            slots: Vec::new(),
            recent: std::collections::VecDeque::new(),
            present: Present::default(),
            stalls: Vec::new(),
            hosts: std::collections::BTreeMap::new(),
            ended_at: None,
            swept: false,
            process,
        };
        self.members.insert(member.process.id, member);
    }

    /// Ends a process; its work stays as it is.
    pub(super) fn end(&mut self, process: ProcessId, life: Life) {
        let now = self.now;
        if let Some(member) = self.members.get_mut(&process)
            && member.life == Life::Alive
        {
            member.life = life;
            member.ended_at = Some(now);
            self.roles.retain(|_, host| *host != process);
        }
    }

    pub(super) fn hang(&mut self, process: ProcessId) {
        if let Some(member) = self.members.get_mut(&process) {
            member.hung = true;
        }
    }

    pub(super) fn process_states(&self) -> Vec<ProcessState> {
        let mut states: Vec<ProcessState> = self
            .members
            .values()
            .map(|member| self.process_state(member))
            .collect();
        states.sort_by_key(|state| match state.liveness {
            Liveness::Alive | Liveness::Hung => (0, state.process.id),
            Liveness::Left | Liveness::Dead => (1, state.process.id),
        });
        states
    }

    fn process_state(&self, member: &Member) -> ProcessState {
        let silent = self.monotonic.saturating_sub(member.lease_from) > HUNG_AFTER;
        ProcessState {
            process: member.process.clone(),
            liveness: match member.life {
                Life::Alive if silent || member.hung => Liveness::Hung,
                Life::Alive => Liveness::Alive,
                Life::Left => Liveness::Left,
                Life::Dead => Liveness::Dead,
            },
            beat_at: member.beat_at,
            counters: member.counters,
            running: member.slots.iter().flatten().cloned().collect(),
            recent: member.recent.iter().cloned().collect(),
            polled_to: member.polled_to,
            blocked_by: None,
            hosts: member.present.hosts.clone(),
            stalls: member.stalls.clone(),
            load: member.present.load,
            cycles: member.present.cycles.clone(),
        }
    }

    pub(super) fn beat(&mut self, me: ProcessId, counters: Counters, polled_to: Seq) {
        let (now, monotonic) = (self.now, self.monotonic);
        if let Some(member) = self.members.get_mut(&me) {
            member.beat_at = now;
            member.lease_from = monotonic;
            member.hung = false;
            member.counters = counters;
            member.polled_to = member.polled_to.max(polled_to);
        }
    }

    pub(super) fn started(&mut self, me: ProcessId, running: Running) -> Option<Slot> {
        let member = self.members.get_mut(&me)?;
        let free = member.slots.iter().position(Option::is_none);
        let at = free.unwrap_or(member.slots.len());
        if at == SLOTS_MAX {
            return None;
        }
        if at == member.slots.len() {
            member.slots.push(Some(running));
        } else {
            member.slots[at] = Some(running);
        }
        u32::try_from(at).ok().map(Slot)
    }

    pub(super) fn next(&mut self, me: ProcessId, slot: Slot, running: Running) -> Option<Slot> {
        *self.running(me, slot)? = running;
        Some(slot)
    }

    pub(super) fn running(&mut self, me: ProcessId, slot: Slot) -> Option<&mut Running> {
        let member = self.members.get_mut(&me)?;
        member.slots.get_mut(slot.0 as usize)?.as_mut()
    }

    pub(super) fn ended(&mut self, me: ProcessId, slot: Option<Slot>, recent: Recent) {
        let Some(member) = self.members.get_mut(&me) else {
            return;
        };
        member.recent.push_front(recent);
        member.recent.truncate(crate::store::registry::RECENT_MAX);
        self.vacant(me, slot);
    }

    pub(super) fn vacant(&mut self, me: ProcessId, slot: Option<Slot>) {
        let member = self.members.get_mut(&me);
        if let Some(member) = member
            && let Some(slot) = slot.and_then(|slot| member.slots.get_mut(slot.0 as usize))
        {
            *slot = None;
        }
    }

    pub(super) fn elect(&mut self, me: ProcessId, role: &str) -> bool {
        *self.roles.entry(role.to_owned()).or_insert(me) == me
    }

    pub(super) fn resign(&mut self, me: ProcessId, role: &str) {
        if self.roles.get(role) == Some(&me) {
            self.roles.remove(role);
        }
    }

    pub(super) fn report_daemons(&mut self, states: Vec<DaemonState>) {
        for state in states {
            let at = (state.process, state.name.clone());
            self.daemons.insert(at, state);
        }
    }

    pub(super) fn send(
        &mut self,
        process: ProcessId,
        verb: String,
        args: String,
        by: String,
    ) -> Result<i64, Error> {
        let Some(member) = self.members.get(&process) else {
            let text = format!("no process {process}");
            let error = Error::new(ErrorCode::NotFound, text);
            return Err(error.with_next("ringrift processes ls"));
        };
        if member.life != Life::Alive || member.hung {
            let text = format!("cannot send {verb} to process {process}: it is dead or stopped");
            let error = Error::new(ErrorCode::WrongState, text);
            return Err(error.with_next("ringrift processes ls"));
        }
        self.last_command += 1;
        let command = Command {
            id: self.last_command,
            process,
            verb,
            args,
            by,
            at: self.public_now(),
            taken_at: None,
            result: None,
        };
        self.commands.insert(command.id, command);
        Ok(self.last_command)
    }

    /// The present time as a public column keeps it: whole milliseconds.
    pub(super) fn public_now(&self) -> Time {
        Time(self.now.0.div_euclid(1_000) * 1_000)
    }

    pub(super) fn take_commands(&mut self, me: ProcessId) -> Vec<Command> {
        let now = self.public_now();
        let open = self
            .commands
            .values_mut()
            .filter(|command| command.process == me && command.taken_at.is_none());
        open.map(|command| {
            command.taken_at = Some(now);
            command.clone()
        })
        .collect()
    }

    pub(super) fn answer(&mut self, id: i64, result: String) -> Result<(), Error> {
        match self.commands.get_mut(&id) {
            Some(command) => {
                command.result = Some(result);
                Ok(())
            }
            None => Err(no_command(id)),
        }
    }

    pub(super) fn command(&self, id: i64) -> Result<Command, Error> {
        self.commands
            .get(&id)
            .cloned()
            .ok_or_else(|| no_command(id))
    }

    pub(super) fn declare_types(&mut self, types: Vec<DeclaredType>) -> Result<(), Error> {
        for new in &types {
            if let Some(old) = self.types.get(&new.value)
                && old.declaration != new.declaration
            {
                let text = format!(
                    "type {} is declared as {} and cannot become {}",
                    new.value, old.declaration, new.declaration
                );
                let error = Error::new(ErrorCode::TypeDiffers, text);
                return Err(error.with_next(format!("ringrift types show {}", quoted(&new.value))));
            }
        }
        for new in types {
            self.types.insert(new.value.clone(), new);
        }
        Ok(())
    }
}

fn no_command(id: i64) -> Error {
    Error::new(ErrorCode::NotFound, format!("no command {id}"))
}
