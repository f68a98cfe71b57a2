//! What the README shows is what is there. That its half hour can be gone is for `.ci/half-hour`.

/// But for the example's own first lines.
#[test]
fn the_client_of_twenty_lines_is_the_example() {
    let readme = include_str!("../../../README.md");
    let example = include_str!("../../examples/greet.rs");
    let (_, code) = example.split_once("\n\n").unwrap();
    assert!(
        readme.contains(&format!("```rust,no_run\n{code}```\n")),
        "it shows another than:\n{code}"
    );
    let lines = code.lines().map(str::trim).filter(|line| !line.is_empty());
    let said = lines.filter(|line| !line.starts_with("use ") && !line.starts_with("//"));
    assert!(said.count() <= 20);
}
