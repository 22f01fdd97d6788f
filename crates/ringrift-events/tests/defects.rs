//! The defects of the Python original that this system must be free of, and the test that holds
//! each of them away. A test may stand elsewhere; the last test here checks that each exists.
//!
//! | defect | what went wrong there | test |
//! |---|---|---|
//! | B1 | two spellings were two topics | `every_type_is_one_topic_in_both_spellings`, `a_live_handler_gets_each_event_once_whatever_the_spelling` |
//! | B2 | delivered twice, two dead letters | `a_failure_leaves_one_letter_and_its_neighbours_are_called_once` |
//! | B3 | a retry went to everybody and always "recovered" | `a_retry_reaches_the_handler_that_failed_and_no_other`, `a_retry_that_fails_again_has_not_recovered` |
//! | B4 | restarts added subscriptions, stopped handlers were called | `starting_a_handler_again_and_again_leaves_one_subscription`, `no_call_starts_once_unsubscribe_has_returned` |
//! | B5 | dedup before success | `a_key_is_confirmed_by_success_only_and_shared_by_the_processes_of_a_durable_name`, `a_live_handler_retries_although_it_has_seen_the_key` |
//! | B6 | dedup ignored the type | `one_key_of_two_types_is_two_keys` |
//! | B7 | honest repeats were dropped | `what_repeats_honestly_is_delivered_each_time` |
//! | B8 | own events came back | `a_payload_crosses_processes_byte_for_byte_and_no_event_comes_back_to_its_publisher` |
//! | B9 | the cursor passed a failed event | `a_failed_event_is_not_skipped_by_the_later_ones` |
//! | B12 | publishes from plain threads were dropped | `a_publish_from_a_plain_thread_counts_although_nobody_waits_for_it` |
//! | B15 | questions crashed on a history | `every_question_is_answered_while_the_history_holds_every_kind_of_end` |
//! | B16 | one bad payload or letter stopped the others | `what_is_no_payload_is_refused_at_the_door_and_reaches_nobody`, `a_handler_that_breaks_in_every_way_stops_nobody` |
//! | B17 | locks shared between threads and loops | `publishing_from_threads_runtimes_and_handlers_at_once_loses_nothing` |
//! | B18 | the queue's place depended on the caller | `every_folder_of_a_home_leads_to_the_same_queue` |
//! | B19 | nothing was cleaned up | `old_rows_go_although_nobody_calls_for_it` |
//! | B20 | errors were hidden | `a_refused_call_says_what_and_why_and_leaves_nothing_half_made` |
//! | B21 | late subscribers lost events | `who_comes_late_gets_what_it_asked_for_and_nothing_is_lost_between`, `durable_subscriptions_lose_nothing_in_any_order_of_starts` |
//! | B22 | recovered and stale events came back at start-up | `after_a_restart_only_what_was_unsettled_comes_again` |
//! | B23 | descriptors and memory leaked | `opening_and_closing_leaves_no_descriptor_thread_or_mapping_behind` |

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that fails"
)]

#[macro_use]
mod support;

#[path = "defects/contexts.rs"]
mod contexts;
#[path = "defects/delivery.rs"]
mod delivery;
#[path = "defects/retries.rs"]
mod retries;
#[path = "defects/upkeep.rs"]
mod upkeep;

use std::path::Path;

/// The defects that no test may be missing for.
const NAMED: [u32; 19] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 18, 19, 20, 21, 22, 23,
];

/// The rows of the table above: each defect with its tests.
fn table() -> Vec<(u32, Vec<String>)> {
    let rows = include_str!("defects.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | B"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let tests = cells[2].split('`').skip(1).step_by(2);
        (
            cells[0].parse().unwrap(),
            tests.map(str::to_owned).collect(),
        )
    })
    .collect()
}

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn each_defect_has_a_test_and_each_test_exists() {
    let table = table();
    let defects: Vec<u32> = table.iter().map(|(defect, _)| *defect).collect();
    assert_eq!(defects, NAMED);
    let mut text = String::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    sources(&root.join("tests"), &mut text);
    for (defect, tests) in table {
        assert!(!tests.is_empty(), "B{defect} names no test");
        for test in tests {
            let alone = text.contains(&format!("#[test]\nfn {test}("));
            // Over both stores: named in the list, and defined with a world.
            let body = text.contains(&format!("fn {test}("));
            let both = body && text.contains(&format!("    {test};\n"));
            assert!(alone || both, "B{defect}: there is no test {test}");
        }
    }
}
