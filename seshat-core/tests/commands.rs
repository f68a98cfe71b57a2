//! The reader of commands.

use std::io::{self, BufRead, BufReader, Read};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use rstest::rstest;

use seshat_core::client::commands::{Command, Limits, Located, Place, Reader};
use seshat_core::client::{Condition, SetOptions};

const SMALL: Limits = Limits { string: 16, command: 24, words: 4 };

fn set(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Command {
    Command::Set {
        key: Bytes::copy_from_slice(key.as_ref()),
        value: Bytes::copy_from_slice(value.as_ref()),
        options: SetOptions::default(),
    }
}

fn del<const N: usize>(keys: [&[u8]; N]) -> Command {
    Command::Del { keys: keys.into_iter().map(Bytes::copy_from_slice).collect() }
}

/// Every command before the first error, and what that error says.
fn read_all(mut reader: Reader<impl BufRead>) -> (Vec<Command>, Option<String>) {
    let mut error = None;
    let commands = reader
        .by_ref()
        .map_while(|read| read.map_err(|found| error = Some(found.to_string())).ok())
        .map(|located| located.value)
        .collect();
    assert!(reader.next().is_none(), "it goes on after its end");
    (commands, error)
}

fn read(input: &[u8]) -> (Vec<Command>, Option<String>) {
    read_all(Reader::new(input))
}

/// Reads as [`read`] does, with the input arriving `capacity` bytes at a time.
fn read_in_parts(input: &[u8], capacity: usize) -> (Vec<Command>, Option<String>) {
    read_all(Reader::new(BufReader::with_capacity(capacity, input)))
}

fn words_of(command: &Command) -> Vec<&[u8]> {
    match command {
        Command::Set { key, value, .. } => vec![b"SET", key, value],
        Command::Del { keys } => {
            [b"DEL".as_slice()].into_iter().chain(keys.iter().map(AsRef::as_ref)).collect()
        }
    }
}

fn to_resp(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend(format!("${}\r\n", word.len()).bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[rstest]
#[case::bare(b"SET k v", b"v")]
#[case::any_case(b"sEt k v", b"v")]
#[case::many_blanks(b" \t\x0b\x0c\rSET \t k   v \t", b"v")]
#[case::vertical_tab_within_a_bare_word(b"SET k a\x0bb\x0cc", b"a\x0bb\x0cc")]
#[case::vertical_tab_after_a_quote(b"SET \"k\"\x0bv", b"v")]
#[case::blanks_within_quotes(b"SET k \" a\tb \"", b" a\tb ")]
#[case::letters(br#"SET k "\n\r\t\b\a""#, b"\n\r\t\x08\x07")]
#[case::escaped_quotes(br#"SET k "\"\\\'""#, b"\"\\'")]
#[case::hex(br#"SET k "\x00\xfF\xAb\x41B""#, b"\x00\xff\xabAB")]
#[case::not_hex(br#"SET k "\xg1\x1g\x1\x""#, b"xg1x1gx1x")]
#[case::no_such_escape(br#"SET k "\q\0\v""#, b"q0v")]
#[case::single(br"SET k 'a\'b'", b"a'b")]
#[case::single_knows_no_other_escape(br"SET k '\n\x00\\ '", br"\n\x00\\ ")]
#[case::the_other_quote(br#"SET k "it's""#, b"it's")]
#[case::the_other_quote_too(br#"SET k 'a "b"'"#, b"a \"b\"")]
#[case::empty(br#"SET k """#, b"")]
#[case::empty_single(br"SET k ''", b"")]
#[case::quote_within_a_word(br#"SET k a"b c""#, b"ab c")]
#[case::backslash_in_a_bare_word(br"SET k \n\x00", br"\n\x00")]
#[case::not_ascii(b"SET k \xff\xc3\xbc", b"\xff\xc3\xbc")]
#[case::quoted_name(br#""SET" 'k' v"#, b"v")]
fn quoting_is_that_of_redis_cli(#[case] line: &[u8], #[case] value: &[u8]) {
    assert_eq!(read(line), (vec![set("k", value)], None));
}

#[rstest]
#[case::nothing(b"", &[])]
#[case::blank_lines(b"\n\r\n \t\n\x0b\n\r", &[])]
#[case::line_feeds(b"DEL a\nDEL b\n", &[1, 2])]
#[case::carriage_returns(b"DEL a\r\nDEL b\r\n", &[1, 2])]
#[case::both(b"DEL a\r\nDEL b\n", &[1, 2])]
#[case::no_end(b"DEL a\nDEL b", &[1, 2])]
#[case::return_at_the_end(b"DEL a\nDEL b\r", &[1, 2])]
#[case::return_after_a_quote(b"DEL \"a\"\r\nDEL 'b'\r\n", &[1, 2])]
#[case::blank_lines_count(b"\n\nDEL a\n\r\nDEL b\n\n", &[3, 5])]
fn lines_end_either_way(#[case] input: &[u8], #[case] lines: &[u64]) {
    let expected: Vec<_> = lines
        .iter()
        .zip([b"a", b"b"])
        .map(|(line, key)| Located { at: Place::Line(*line), value: del([key]) })
        .collect();
    let commands: Result<Vec<_>, _> = Reader::new(input).collect();
    assert_eq!(commands.expect("no fault"), expected);
}

#[test]
fn a_resp_command_knows_its_number_and_offset() {
    let input = b"*2\r\n$3\r\nDEL\r\n$2\r\n\r\n\r\n*3\r\n$3\r\nset\r\n$0\r\n\r\n$3\r\n*\x00$\r\n";
    let commands: Result<Vec<_>, _> = Reader::new(&input[..]).collect();
    let at = |number, offset| Place::Command { number, offset };
    let (first, second) = (del([b"\r\n"]), set("", "*\x00$"));
    let expected =
        [(at(1, 0), first), (at(2, 21), second)].map(|(at, value)| Located { at, value });
    assert_eq!(commands.expect("no fault"), expected);
}

#[rustfmt::skip] // One case a line.
#[rstest]
#[case::open_double("SET k \"v", "unbalanced quotes")]
#[case::open_single("SET k 'v", "unbalanced quotes")]
#[case::only_a_quote("SET k \"", "unbalanced quotes")]
#[case::escaped_close("SET k \"v\\\"", "unbalanced quotes")]
#[case::backslash_at_the_end("SET k \"v\\", "unbalanced quotes")]
#[case::escaped_return("SET k \"v\\\r\n", "unbalanced quotes")]
#[case::escaped_close_single("SET k 'v\\'", "unbalanced quotes")]
#[case::quotes_do_not_span_lines("SET k \"a\nb\"", "unbalanced quotes")]
#[case::text_after_a_quote("SET \"k\"v", "expected a space or the end of the line after a closing quote, got 'v'")]
#[case::quote_after_a_quote("SET 'k''v'", "expected a space or the end of the line after a closing quote, got '\\''")]
#[case::zero_byte("SET k \"\0\"", "a zero byte, which a line cannot hold (expected \"\\x00\" within double quotes)")]
#[case::set_alone("SET", "SET takes 2 arguments, got 0")]
#[case::set_key("set k", "SET takes 2 arguments, got 1")]
#[case::set_both("set k v nx xx", "SET takes NX or XX, got both")]
#[case::set_more_options("set k v nx EX 10", "SET takes 2 arguments, got 5 (options such as EX are not supported)")]
#[case::set_options("set k v EX 10", "SET takes 2 arguments, got 4 (options such as EX are not supported)")]
#[case::del_alone("Del", "DEL takes at least 1 argument, got 0")]
fn a_faulty_line_says_why(#[case] input: &str, #[case] fault: &str) {
    let got = read(input.as_bytes()).1;
    assert_eq!(got, Some(format!("line 1: {fault}")));

    let (commands, got) = read(format!("\r\nDEL k\n{input}\nDEL k\n").as_bytes());
    assert_eq!(commands, [del([b"k"])]);
    assert_eq!(got, Some(format!("line 3: {fault}")));
}

const NAME: &str = "123456789012345678901234567890123456789012345678";

#[rstest]
#[case::another("GET k", r#""GET""#)]
#[case::comment("# SET k v", r##""#""##)]
#[case::empty("'' k v", r#""""#)]
#[case::byte_order_mark("\u{feff}SET k v", r#""\xef\xbb\xbfSET""#)]
#[case::terminal_escape(r#""\x1b[2J\"" k"#, r#""\x1b[2J\"""#)]
#[case::full(NAME, &format!("{NAME:?}"))]
#[case::long(&format!("{NAME}90"), &format!("{NAME:?}... of 50 bytes"))]
#[case::late_resp("\t*1", r#""*1""#)]
#[case::resp("*1\r\n$4\r\nPI\nG\r\n", r#""PI\nG""#)]
fn an_unknown_command_is_named(#[case] input: &str, #[case] shown: &str) {
    let place = match input.starts_with('*') {
        true => "command 1 at byte 0",
        false => "line 1",
    };
    let expected = format!("{place}: unknown command {shown} (expected SET or DEL)");
    assert_eq!(read(input.as_bytes()).1, Some(expected));
}

#[rstest]
#[case::count("*", "a digit")]
#[case::string("*1\r\n", "'$'")]
#[case::header("*1\r\n$1", "a digit or '\\r'")]
#[case::bytes("*1\r\n$3\r\n", "3 more bytes of a bulk string")]
#[case::one_byte("*1\r\n$3\r\nDE", "1 more byte of a bulk string")]
#[case::huge("*1\r\n$536870912\r\nabc", "536870909 more bytes of a bulk string")]
#[case::line_end("*1\r\n$3\r\nDEL", "'\\r'")]
#[case::line_feed("*1\r\n$3\r\nDEL\r", "'\\n'")]
fn a_cut_stream_says_what_it_lacks(#[case] input: &str, #[case] lacks: &str) {
    let place = format!("command 1 at byte {}", input.len());
    let expected = format!("{place}: expected {lacks}, got the end of the stream");
    assert_eq!(read(input.as_bytes()).1, Some(expected));
}

#[rustfmt::skip] // One case a line.
#[rstest]
#[case::bad_count("*x", 1, "expected a digit, got 'x'")]
#[case::minus_alone("*-\r\n", 2, "expected a digit, got '\\r'")]
#[case::minus_zero("*-0\r\n", 2, "expected a digit, got '0'")]
#[case::signed("*+1\r\n", 1, "expected a digit, got '+'")]
#[case::leading_zero("*01\r\n", 2, "expected '\\r', got '1'")]
#[case::line_feed_only("*1\n$3\nDEL\n", 2, "expected a digit or '\\r', got '\\n'")]
#[case::no_line_feed("*1\r$3", 3, "expected '\\n', got '$'")]
#[case::endless_count("*99999999999999999999999\r\n", 21, "expected a length, got a number over 18446744073709551615")]
#[case::not_a_string("*1\r\n+OK\r\n", 4, "expected '$', got '+'")]
#[case::null_string("*1\r\n$-1\r\n", 5, "expected a digit, got '-'")]
#[case::too_short_a_length("*1\r\n$2\r\nDEL\r\n", 10, "expected '\\r', got 'L'")]
#[case::too_long_a_length("*1\r\n$4\r\nDEL\r\n", 12, "expected '\\r', got '\\n'")]
#[case::over_the_limit("*1\r\n$536870913\r\n", 4, "a bulk string of 536870913 bytes is over the limit of 536870912")]
#[case::too_many_words("*1048577\r\n", 0, "the command has more than 1048576 strings, its name included")]
#[case::set_key("*2\r\n$3\r\nSET\r\n$1\r\nk\r\n", 0, "SET takes 2 arguments, got 1")]
fn a_faulty_stream_says_why(#[case] input: &str, #[case] offset: usize, #[case] fault: &str) {
    let got = read(input.as_bytes()).1;
    assert_eq!(got, Some(format!("command 1 at byte {offset}: {fault}")));

    let good = to_resp(&[b"DEL", b"k"]);
    let (commands, got) = read(&[&good, input.as_bytes()].concat());
    assert_eq!(commands, [del([b"k"])]);
    let offset = offset + good.len();
    assert_eq!(got, Some(format!("command 2 at byte {offset}: {fault}")));
}

/// What a server takes and people send: inputs that were refused once.
#[rstest]
#[case::empty_lines_between(include_bytes!("../../fixtures/commands/crlf-then-resp.txt"), &["a 1", "b 2"])]
#[case::mixed(include_bytes!("../../fixtures/commands/mixed.txt"), &["a 1", "b 2", "c 3"])]
#[case::empty_key(include_bytes!("../../fixtures/commands/empty-key.txt"), &[" v"])]
#[case::null_array(include_bytes!("../../fixtures/commands/null-array.txt"), &["a 1"])]
#[case::empty_array(include_bytes!("../../fixtures/commands/empty-array.txt"), &["a 1"])]
#[case::null_array_of_any_size(b"*-7\r\nSET a 1\r\n*-1\r\n", &["a 1"])]
fn what_a_server_takes_is_taken(#[case] input: &[u8], #[case] expected: &[&str]) {
    let pairs = expected.iter().map(|pair| pair.split_once(' ').unwrap());
    let expected: Vec<_> = pairs.map(|(key, value)| set(key, value)).collect();
    assert_eq!(read(input), (expected.clone(), None));
    assert_eq!(read_in_parts(input, 1), (expected, None));
}

#[rustfmt::skip] // One case a line.
#[rstest]
#[case::nx("nx", Some(Condition::Absent), false)]
#[case::xx_get("Xx gEt", Some(Condition::Present), true)]
#[case::get_nx("GET NX", Some(Condition::Absent), true)]
#[case::twice("NX NX GET GET", Some(Condition::Absent), true)]
fn options_are_taken_in_any_case_and_order(
    #[case] words: &str,
    #[case] condition: Option<Condition>,
    #[case] get: bool,
) {
    let expected = Command::Set { key: "k".into(), value: "v".into(), options: SetOptions { condition, get } };
    let line = format!("SET k v {words}");
    assert_eq!(read(line.as_bytes()), (vec![expected.clone()], None));
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    assert_eq!(read(&to_resp(&words)), (vec![expected], None));
}

/// In a stream of both, lines are counted as an editor counts them, and commands as a server does.
#[test]
fn places_are_right_where_formats_alternate() {
    let input =
        b"\nDEL a\n*0\r\n*2\r\n$3\r\nDEL\r\n$3\r\n\n\n\n\r\n\r\nDEL b\r\n*2\r\n$3\r\nDEL\r\n$x";
    let mut reader = Reader::new(&input[..]);
    let places: Vec<_> = reader.by_ref().map_while(Result::ok).map(|read| read.at).collect();
    let resp = Place::Command { number: 2, offset: 11 };
    assert_eq!(places, [Place::Line(2), resp, Place::Line(13)]);
    let (_, error) = read(input);
    assert_eq!(error.as_deref(), Some("command 4 at byte 56: expected a digit, got 'x'"));
}

#[rustfmt::skip] // One case a line.
#[rstest]
#[case::full_line(b"SET k 4567890123\n", None)]
#[case::full_last_line(b"SET k 4567890123", None)]
#[case::long_line(b"SET k 45678901234\n", Some("line 1: the line is longer than the limit of 16 bytes"))]
#[case::long_blank_line(b"                 \n", Some("line 1: the line is longer than the limit of 16 bytes"))]
#[case::full_words(b"DEL a b c", None)]
#[case::many_words(b"DEL a b c d", Some("line 1: the command has more than 4 strings, its name included"))]
#[case::full_string(b"*2\r\n$3\r\nDEL\r\n$16\r\n1234567890123456\r\n", None)]
#[case::long_string(b"*2\r\n$3\r\nDEL\r\n$17\r\n", Some("command 1 at byte 13: a bulk string of 17 bytes is over the limit of 16"))]
#[case::full_command(b"*3\r\n$3\r\nDEL\r\n$15\r\n123456789012345\r\n$6\r\n123456\r\n", None)]
#[case::long_command(b"*3\r\n$3\r\nDEL\r\n$15\r\n123456789012345\r\n$7\r\n", Some("command 1 at byte 0: the command is longer than the limit of 24 bytes"))]
fn limits_hold(#[case] input: &[u8], #[case] expected: Option<&str>) {
    let (commands, error) = read_all(Reader::with_limits(input, SMALL));
    assert_eq!(error.as_deref(), expected);
    assert_eq!(commands.len(), usize::from(expected.is_none()));
}

/// Fails at every second read, and is interrupted at the others.
struct Failing {
    interrupt: bool,
}

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.interrupt = !self.interrupt;
        Err(match self.interrupt {
            true => io::ErrorKind::Interrupted.into(),
            false => io::Error::other("disk on fire"),
        })
    }
}

#[rstest]
#[case::at_once(b"", 0, "line 1")]
#[case::lines(b"DEL k\nDEL", 1, "line 2")]
#[case::resp(b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n*", 1, "command 2 at byte 21")]
fn an_error_of_the_input_is_passed_on(
    #[case] input: &[u8],
    #[case] count: usize,
    #[case] place: &str,
) {
    let input = input.chain(Failing { interrupt: false });
    let (commands, error) = read_all(Reader::new(BufReader::new(input)));
    assert_eq!(commands.len(), count);
    let expected = format!("{place}: cannot read: disk on fire");
    assert_eq!(error, Some(expected));
}

#[test]
fn both_fixtures_hold_the_same_commands() {
    let text = include_bytes!("../../fixtures/commands/small.txt");
    let resp = include_bytes!("../../fixtures/commands/small.resp");
    let (commands, error) = read(text);
    assert_eq!(error, None);
    assert_eq!(commands.len(), 1_000);
    assert_eq!(read(resp), (commands, None));
}

/// Quotes as `sdscatrepr` of Redis does, or with single quotes or none where `style` asks for
/// it and the bytes allow it.
fn quote(bytes: &[u8], style: u8) -> Vec<u8> {
    let bare = |byte: &u8| !matches!(byte, 0 | b'\t'..=b'\r' | b' ' | b'"' | b'\'');
    let single = |byte: &u8| !matches!(byte, 0 | b'\n' | b'\\' | b'\'');
    if style == 0 && !bytes.is_empty() && bytes.iter().all(bare) {
        return bytes.to_vec();
    }
    if style == 1 && bytes.iter().all(single) {
        return [b"'", bytes, b"'"].concat();
    }
    let escaped = bytes.iter().flat_map(|byte| match byte {
        b'"' | b'\\' => vec![b'\\', *byte],
        b'\n' => b"\\n".to_vec(),
        b'\r' => b"\\r".to_vec(),
        b'\t' => b"\\t".to_vec(),
        0x07 => b"\\a".to_vec(),
        0x08 => b"\\b".to_vec(),
        b' '..=b'~' => vec![*byte],
        _ => format!("\\x{byte:02x}").into_bytes(),
    });
    [b'"'].into_iter().chain(escaped).chain([b'"']).collect()
}

fn any_word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..40),
        vec(prop::sample::select(b"ab \"'\\\n\r\t\x0bx0".as_slice()), 0..12),
    ]
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        (any_word(), any_word()).prop_map(|(key, value)| set(key, value)),
        vec(any_word(), 1..5)
            .prop_map(|keys| Command::Del { keys: keys.into_iter().map(Bytes::from).collect() }),
    ]
}

proptest! {
    #[test]
    fn resp_reads_back_however_it_arrives(
        commands in vec(any_command(), 0..8),
        capacity in 1_usize..64,
    ) {
        let input: Vec<u8> = commands.iter().flat_map(|one| to_resp(&words_of(one))).collect();
        prop_assert_eq!(read_in_parts(&input, capacity), (commands, None));
    }

    #[test]
    fn a_cut_resp_stream_is_an_error(
        commands in vec(any_command(), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut input = Vec::new();
        let mut whole = vec![0];
        for command in &commands {
            input.extend(to_resp(&words_of(command)));
            whole.push(input.len());
        }
        input.truncate(cut.index(input.len()));
        let (read, error) = read(&input);
        prop_assert_eq!(error.is_none(), whole.contains(&input.len()));
        prop_assert_eq!(&read[..], &commands[..read.len()]);
        prop_assert_eq!(read.len(), whole.iter().filter(|end| **end <= input.len()).count() - 1);
    }

    #[test]
    fn quoted_lines_read_back_however_they_arrive(
        commands in vec(any_command(), 0..8),
        styles in vec(0_u8..3, 1..6),
        ends in vec(prop::sample::select(vec!["\n", "\r\n", " \n", "\n\n"]), 1..4),
        capacity in 1_usize..64,
    ) {
        let mut styles = styles.into_iter().cycle();
        let mut input = Vec::new();
        for (command, end) in commands.iter().zip(ends.into_iter().cycle()) {
            let words: Vec<_> = words_of(command)
                .into_iter()
                .zip(&mut styles)
                .map(|(word, style)| quote(word, style))
                .collect();
            input.extend(words.join(&b' '));
            input.extend(end.bytes());
        }
        prop_assert_eq!(read_in_parts(&input, capacity), (commands, None));
    }

    #[test]
    fn no_bytes_make_it_panic(
        input in prop_oneof![
            vec(any::<u8>(), 0..200),
            vec(prop::sample::select(b"*$0123\r\nSETdel \"'\\x\x0b".as_slice()), 0..200),
        ],
        resp in any::<bool>(),
        small in any::<bool>(),
    ) {
        let input = if resp { [b"*", &input[..]].concat() } else { input };
        let limits = if small { SMALL } else { Limits::REDIS };
        let (_, error) = read_all(Reader::with_limits(&input[..], limits));
        let text = error.unwrap_or_default();
        prop_assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text}");
    }
}

proptest! {
    /// Whatever format each command has.
    #[test]
    fn formats_alternate(
        commands in vec((any_command(), any::<bool>(), 0_u8..3), 0..8),
        capacity in 1_usize..64,
    ) {
        let mut input = Vec::new();
        for (command, resp, style) in &commands {
            let words = words_of(command);
            if *resp {
                input.extend(to_resp(&words));
            } else {
                let words: Vec<_> = words.into_iter().map(|word| quote(word, *style)).collect();
                input.extend(words.join(&b' '));
                input.extend(b"\r\n*-1\r\n\n*0\r\n");
            }
        }
        let commands = commands.into_iter().map(|(command, ..)| command).collect();
        prop_assert_eq!(read_in_parts(&input, capacity), (commands, None));
    }
}
