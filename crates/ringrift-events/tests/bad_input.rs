//! Bad input and bad places: each is an error with a code, and nothing is lost or half-done.
//!
//! [`SHOWN_BY`] says for each case which tests show it, here and elsewhere.

#![cfg(test)]

#[path = "support/bounded.rs"]
mod bounded;
#[path = "bad_input/children.rs"]
mod children;
#[path = "bad_input/clock.rs"]
mod clock;
#[path = "bad_input/forked.rs"]
mod forked;
#[path = "bad_input/ground.rs"]
mod ground;
#[path = "bad_input/input.rs"]
mod input;
#[path = "support/over.rs"]
mod over;
#[path = "bad_input/places.rs"]
mod places;
#[path = "bad_input/replaced.rs"]
mod replaced;

/// Each case, and the tests that show it: a file below the crate's folder and a function in it.
const SHOWN_BY: &[(&str, &[(&str, &str)])] = &[
    (
        "unknown type",
        &[(
            "tests/bad_input/input.rs",
            "an_unknown_type_is_refused_with_the_nearest_names",
        )],
    ),
    (
        "payload not an object",
        &[(
            "tests/bad_input/input.rs",
            "a_payload_that_is_no_object_is_refused",
        )],
    ),
    (
        "payload over the limit",
        &[(
            "tests/bad_input/input.rs",
            "a_payload_over_the_limit_is_refused_and_one_at_the_limit_kept_byte_for_byte",
        )],
    ),
    (
        "payload not UTF-8",
        &[(
            "tests/bad_input/input.rs",
            "a_payload_that_is_not_utf8_is_refused",
        )],
    ),
    (
        "payload nested 10,000 deep",
        &[(
            "tests/bad_input/input.rs",
            "a_payload_nested_ten_thousand_deep_is_refused_and_no_stack_overflows",
        )],
    ),
    (
        "missing required field",
        &[(
            "tests/bad_input/input.rs",
            "a_missing_required_field_is_let_pass_warned_of_or_refused_as_the_type_says",
        )],
    ),
    (
        "database read-only",
        &[
            (
                "tests/bad_input/places.rs",
                "a_database_that_may_only_be_read_is_refused_and_whole_when_it_may_be_written_again",
            ),
            (
                "tests/sqlite_faults.rs",
                "a_folder_that_cannot_be_written_is_refused_for_writing_and_read_as_it_stands",
            ),
            (
                "tests/sqlite_refusals.rs",
                "a_read_only_handle_reads_and_refuses_to_write",
            ),
        ],
    ),
    (
        "named home missing",
        &[
            (
                "tests/bad_input/places.rs",
                "a_named_home_that_is_missing_is_refused_and_not_made",
            ),
            (
                "tests/sqlite_refusals.rs",
                "a_home_that_is_not_there_is_not_made",
            ),
        ],
    ),
    (
        "home unwritable",
        &[(
            "tests/bad_input/places.rs",
            "a_home_that_cannot_be_written_is_refused_and_nothing_is_made_in_it",
        )],
    ),
    (
        "disk full",
        &[
            (
                "tests/bad_input/places.rs",
                "a_full_disk_refuses_a_publish_whole_and_takes_the_same_event_once_there_is_room",
            ),
            (
                "tests/bad_input/places.rs",
                "a_limit_on_the_size_of_files_is_a_full_disk_too",
            ),
            (
                "tests/sqlite_faults.rs",
                "a_full_disk_is_told_and_what_was_acknowledged_stays",
            ),
        ],
    ),
    (
        "disk full for the mapped files",
        &[
            (
                "src/store/pages/tests/refusals.rs",
                "a_limit_on_file_size_is_a_full_disk_and_never_a_signal",
            ),
            (
                "src/store/pages/tests/refusals.rs",
                "a_full_file_system_is_refused_when_the_file_is_made",
            ),
        ],
    ),
    (
        "disk nearly full",
        &[(
            "tests/sqlite_room.rs",
            "a_nearly_full_disk_refuses_the_very_first_publish_of_a_process",
        )],
    ),
    (
        "file not ours",
        &[
            (
                "tests/bad_input/places.rs",
                "a_file_that_is_not_ours_is_refused_and_left_byte_for_byte",
            ),
            (
                "tests/sqlite_refusals.rs",
                "a_file_of_something_else_is_left_as_it_is",
            ),
        ],
    ),
    (
        "file from a newer version",
        &[
            (
                "tests/bad_input/places.rs",
                "a_file_from_a_newer_version_is_refused_and_left_byte_for_byte",
            ),
            (
                "tests/sqlite_refusals.rs",
                "a_newer_file_is_refused_with_both_versions",
            ),
        ],
    ),
    (
        "corrupt file",
        &[
            (
                "tests/bad_input/places.rs",
                "a_damaged_file_is_refused_at_the_open_and_left_byte_for_byte",
            ),
            (
                "tests/bad_input/places.rs",
                "damage_that_the_open_does_not_touch_is_told_where_it_is_read",
            ),
        ],
    ),
    (
        "network file system, FUSE",
        &[
            (
                "tests/sqlite_refusals.rs",
                "network_file_systems_are_refused_and_fuse_is_noted",
            ),
            (
                "src/store/sqlite/fs_probe.rs",
                "network_file_systems_are_refused_and_fuse_is_noted",
            ),
        ],
    ),
    (
        "clock jumping back",
        &[
            (
                "tests/bad_input/clock.rs",
                "a_wall_clock_that_jumps_back_an_hour_changes_no_order_and_loses_nothing",
            ),
            (
                "tests/bad_input/clock.rs",
                "a_failed_delivery_is_kept_while_the_clock_is_back_and_retried_when_it_is_right",
            ),
            (
                "src/clock.rs",
                "a_clock_that_went_back_gives_no_negative_duration",
            ),
        ],
    ),
    (
        "two homes on one file",
        &[
            (
                "tests/bad_input/places.rs",
                "a_hard_link_or_a_copy_of_another_home_s_file_is_refused_and_the_other_home_goes_on",
            ),
            (
                "tests/bad_input/places.rs",
                "a_bind_mount_of_another_home_s_folder_is_refused_and_the_other_home_goes_on",
            ),
            (
                "tests/sqlite_refusals.rs",
                "a_copy_and_a_hard_link_of_another_home_s_file_are_two_homes",
            ),
            (
                "src/store/pages/tests/refusals.rs",
                "the_shared_page_of_another_file_is_refused_while_somebody_uses_it",
            ),
        ],
    ),
    (
        "store replaced under running processes",
        &[
            (
                "tests/bad_input/replaced.rs",
                "a_store_that_was_moved_away_takes_no_further_publish_and_is_whole_elsewhere",
            ),
            (
                "tests/bad_input/replaced.rs",
                "another_store_moved_over_it_is_noticed_at_once_and_not_written_to",
            ),
            (
                "tests/bad_input/replaced.rs",
                "another_store_copied_over_it_is_noticed_at_once_and_not_written_to",
            ),
            (
                "tests/bad_input/replaced.rs",
                "an_older_backup_copied_over_it_is_noticed_at_once_and_not_written_to",
            ),
            (
                "tests/bad_input/replaced.rs",
                "something_else_written_over_it_is_noticed_at_once",
            ),
        ],
    ),
    (
        "a handle used after fork",
        &[
            (
                "tests/bad_input/places.rs",
                "a_handle_used_after_a_fork_is_refused_and_its_parent_goes_on",
            ),
            (
                "src/store/pages/kernel.rs",
                "a_forked_child_sees_no_mapping_and_its_parent_keeps_it",
            ),
        ],
    ),
];

/// A child runs one part and nothing else; the test itself finds nothing to do.
#[test]
fn part_of_a_child() {
    children::run_part();
}

#[test]
fn every_case_is_shown_by_tests_that_exist() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for (case, tests) in SHOWN_BY {
        assert!(!tests.is_empty(), "nothing shows: {case}");
        for (file, name) in *tests {
            let text = std::fs::read_to_string(here.join(file)).unwrap();
            let test = format!("#[test]\nfn {name}()");
            let inner = format!("#[test]\n    fn {name}()");
            assert!(
                text.contains(&test) || text.contains(&inner),
                "{case}: {file} has no test {name}"
            );
        }
    }
}
