//! Tables and indexes, clause 1.3.

use crate::{Failed, Options, connect};

/// Each table with its columns, its primary key, and how many columns of that place a row on a
/// cluster: what one transaction changes together, and what it reads as a range, lies together.
const TABLES: [(&str, &str, &str, usize); 9] = [
    (
        "warehouse",
        "w_id int, w_name varchar(10), w_street_1 varchar(20), w_street_2 varchar(20),
         w_city varchar(20), w_state char(2), w_zip char(9), w_tax numeric(4,4),
         w_ytd numeric(12,2)",
        "w_id",
        1,
    ),
    (
        "district",
        "d_w_id int, d_id int, d_name varchar(10), d_street_1 varchar(20),
         d_street_2 varchar(20), d_city varchar(20), d_state char(2), d_zip char(9),
         d_tax numeric(4,4), d_ytd numeric(12,2), d_next_o_id int",
        "d_w_id, d_id",
        2,
    ),
    (
        "customer",
        "c_w_id int, c_d_id int, c_id int, c_first varchar(16), c_middle char(2),
         c_last varchar(16), c_street_1 varchar(20), c_street_2 varchar(20), c_city varchar(20),
         c_state char(2), c_zip char(9), c_phone char(16), c_since timestamp, c_credit char(2),
         c_credit_lim numeric(12,2), c_discount numeric(4,4), c_balance numeric(12,2),
         c_ytd_payment numeric(12,2), c_payment_cnt int, c_delivery_cnt int, c_data varchar(500)",
        "c_w_id, c_d_id, c_id",
        2,
    ),
    (
        "history",
        "h_c_id int, h_c_d_id int, h_c_w_id int, h_d_id int, h_w_id int, h_date timestamp,
         h_amount numeric(6,2), h_data varchar(24)",
        "",
        0,
    ),
    ("new_order", "no_w_id int, no_d_id int, no_o_id int", "no_w_id, no_d_id, no_o_id", 2),
    (
        "orders",
        "o_w_id int, o_d_id int, o_id int, o_c_id int, o_entry_d timestamp, o_carrier_id int,
         o_ol_cnt int, o_all_local int",
        "o_w_id, o_d_id, o_id",
        2,
    ),
    (
        "order_line",
        "ol_w_id int, ol_d_id int, ol_o_id int, ol_number int, ol_i_id int, ol_supply_w_id int,
         ol_delivery_d timestamp, ol_quantity int, ol_amount numeric(6,2), ol_dist_info char(24)",
        "ol_w_id, ol_d_id, ol_o_id, ol_number",
        2,
    ),
    (
        "item",
        "i_id int, i_im_id int, i_name varchar(24), i_price numeric(5,2), i_data varchar(50)",
        "i_id",
        1,
    ),
    (
        "stock",
        "s_w_id int, s_i_id int, s_quantity int, s_dist_01 char(24), s_dist_02 char(24),
         s_dist_03 char(24), s_dist_04 char(24), s_dist_05 char(24), s_dist_06 char(24),
         s_dist_07 char(24), s_dist_08 char(24), s_dist_09 char(24), s_dist_10 char(24),
         s_ytd int, s_order_cnt int, s_remote_cnt int, s_data varchar(50)",
        "s_w_id, s_i_id",
        2,
    ),
];

const INDEXES: [&str; 2] = [
    "create index customer_by_name on customer (c_w_id, c_d_id, c_last, c_first)",
    "create index orders_by_customer on orders (o_w_id, o_d_id, o_c_id, o_id)",
];

/// Makes the empty tables.
pub async fn create(options: &Options) -> Result<(), Failed> {
    let client = connect(options).await?;
    for (name, columns, key, placed) in TABLES {
        let place: Vec<&str> = key.split(", ").take(placed).collect();
        let with = match options.sluice && placed > 1 {
            true => format!(" with (partition_by = ({}))", place.join(", ")),
            false => String::new(),
        };
        let key = if key.is_empty() { String::new() } else { format!(", primary key ({key})") };
        client.batch_execute(&format!("create table {name} ({columns}{key}){with}")).await?;
    }
    for index in INDEXES {
        client.batch_execute(index).await?;
    }
    Ok(())
}
