//! Which delivery of an event is told, and which subscriptions it concerns.

use super::known::Known;
use super::scene::{
    at, fact, letter, live, passage, passed, range, recent, row, scene, standing, waiting,
};
use crate::event::EventType;
use crate::event::Seq;
use crate::store::deliveries::Why;
use crate::store::letters::LetterState;
use crate::store::log::TypeSet;
use crate::store::subscriptions::Generation;
use crate::store::trail::Place;
use crate::verdict::Code;

/// Generation 1 recovered the event, then a seek began generation 2 at 200.
fn sought_back(known: &mut Known) {
    let mut first = passage(1, Place::Passed { by: None });
    first.ended_at = Some(at(200));
    known.trail.passages = vec![first, passage(2, Place::Ahead)];
    known.trail.again = vec![row(1, LetterState::Recovered)];
    known.scene().subscriptions[0].generation = Generation(2);
    known.facts = vec![fact(Code::StRecovered, at(180), "{}")];
    known.scene().processes[0].recent = vec![recent(Code::StRecovered, at(180))];
}

#[test]
fn after_a_seek_back_the_new_generation_is_told_and_the_old_one_mentioned() {
    let mut known = scene();
    sought_back(&mut known);
    let told = standing(&known);
    assert_eq!(
        (told.generation, told.verdict.code),
        (Generation(2), Code::WtPending)
    );
    let earlier: Vec<_> = told
        .earlier
        .iter()
        .map(|one| (one.generation, one.verdict.code))
        .collect();
    assert_eq!(earlier, [(Generation(1), Code::StRecovered)]);

    // Skipped by the handler in the second: the fact of the first must not cover it.
    known.trail.passages[1].place = Place::Passed { by: None };
    known.facts.insert(0, fact(Code::HnSkipped, at(250), "{}"));
    assert_eq!(standing(&known).verdict.code, Code::HnSkipped);
    assert_eq!(standing(&known).earlier[0].verdict.code, Code::StRecovered);
}

#[test]
fn what_a_seek_left_unhandled_is_told_by_where_it_went() {
    let mut known = scene();
    sought_back(&mut known);
    known.trail.again.clear();
    known.facts.clear();
    known.scene().processes[0].recent.clear();
    known.trail.passages[0].place = Place::Ahead;
    let earlier = standing(&known).earlier;
    assert_eq!(earlier[0].verdict.code, Code::StReplayedAs);

    // Forwards instead: the new generation begins after it.
    known.trail.passages[1].place = Place::Outside;
    let told = standing(&known);
    assert_eq!(told.generation, Generation(1));
    assert_eq!(told.verdict.code, Code::StSkippedBySeek);
    known.facts = vec![range(Code::StSkippedBySeek, at(200))];
    let told = standing(&known);
    assert_eq!(told.verdict.code, Code::StSkippedBySeek);
    assert!(told.verdict.sentence.contains("by ann"), "{told:?}");

    // What had been handled before the seek stays handled.
    known.trail.passages[0].place = Place::Passed { by: None };
    assert_eq!(standing(&known).verdict.code, Code::HnOk);
}

#[test]
fn a_replay_has_the_last_word_and_the_first_delivery_is_mentioned() {
    let mut known = scene();
    letter(&mut known, row(1, LetterState::Dead));
    known.trail.again.push(waiting(Why::Replay));
    known.facts = vec![fact(Code::StReplayedAs, at(300), "{}")];
    let told = standing(&known);
    assert_eq!(told.verdict.code, Code::WtPending);
    assert_eq!(told.earlier[0].verdict.code, Code::StDead);
}

#[test]
fn one_that_ended_before_is_told_while_no_other_bears_its_name() {
    let mut known = scene();
    live(&mut known);
    known.scene().subscriptions[0].versions[0].valid_to = Some(Seq(4));
    known.scene().subscriptions[0].ended_at = Some(at(140));
    assert_eq!(standing(&known).verdict.code, Code::RtUnsubscribed);
    let mut again = known.scene().subscriptions[0].clone();
    again.id = crate::store::subscriptions::SubscriptionId(2);
    again.ended_at = None;
    again.versions[0].valid_from = Seq(4);
    again.versions[0].valid_to = None;
    known.scene().subscriptions.push(again);
    assert_eq!(standing(&known).verdict.code, Code::WtPending);
}

#[test]
fn one_that_began_later_and_is_gone_is_not_told() {
    let mut known = scene();
    known.trail.passages.clear();
    known.scene().subscriptions[0].versions[0].valid_from = Seq(6);
    assert_eq!(standing(&known).verdict.code, Code::RtSubscribedLater);
    known.scene().subscriptions[0].ended_at = Some(at(300));
    assert_eq!(known.standings(), []);
}

#[test]
fn a_removed_subscription_is_told_of_what_it_owed_only() {
    fn removed(known: &mut Known, second: i64) {
        known.scene().subscriptions[0].ended_at = Some(at(second));
        known.scene().subscriptions[0].hosts.clear();
        known.trail.passages[0].ended_at = Some(at(second));
    }
    let mut known = scene();
    removed(&mut known, 300);
    known.facts = vec![range(Code::StSubscriptionRemoved, at(300))];
    assert_eq!(standing(&known).verdict.code, Code::StSubscriptionRemoved);
    assert_eq!(known.facts_of_event().count(), 1);

    // The range is long; events of other types lie in it as well.
    let other = TypeSet::only([EventType::from_canonical("b")]);
    known.scene().subscriptions[0].versions[0].definition.types = other;
    assert_eq!(known.standings(), []);
    assert_eq!(known.facts_of_event().count(), 0);

    // Removed before the event was published: it did not exist any more.
    let mut known = scene();
    removed(&mut known, 120);
    assert_eq!(known.standings(), []);

    // Handled before the removal.
    let mut known = scene();
    passed(&mut known);
    removed(&mut known, 300);
    assert_eq!(standing(&known).verdict.code, Code::HnOk);
}
